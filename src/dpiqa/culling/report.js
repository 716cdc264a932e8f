"use strict";
// Names of files are only ever set as text, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const photos = data.photos;
photos.forEach((photo, number) => { photo.number = number; });
const at = (id) => document.getElementById(id);
const PIECE = 120; // cards that are made at once

const selected = new Set(); // photos
let shown = []; // photos that pass the filters, in order
let made = 0; // how many of them have a card
let active = 0; // the one that the tab key reaches

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

// ---- cards ----

function card(photo) {
  const button = element("button", { type: "button", className: "photo", tabIndex: -1 });
  button.setAttribute("aria-pressed", selected.has(photo));
  if (photo.thumbnail) {
    const [src, width, height] = photo.thumbnail;
    const image = element("img", { decoding: "async", width, height, alt: photo.name, src });
    const frame = element("span", { className: "frame" }, image);
    frame.style.aspectRatio = `${width} / ${height}`;
    frame.style[width * 3 > height * 4 ? "width" : "height"] = "100%"; // in a box of 4:3
    button.append(frame);
  } else {
    button.append(element("span", { className: "no-picture" }, photo.missing || `No picture of ${photo.name}`));
  }
  button.append(element("span", { className: "tick", ariaHidden: "true" }));
  const about = element("div", { className: "about", id: `about-${photo.number}` }, ...facts(photo));
  button.setAttribute("aria-describedby", about.id);
  const burst = photo.burst ? (photo.burst.isBest ? " burst best" : " burst") : "";
  const item = element("li", { className: `card${burst}` }, button, about);
  item.photo = photo;
  return item;
}

function facts(photo) {
  const lines = [];
  if (photo.error === null) {
    const percentile = photo.percentile === null ? "" : `better than ${Math.floor(photo.percentile)} %`;
    lines.push(element("div", { className: "numbers" }, element("b", {}, photo.score.toFixed(3)), element("span", {}, percentile)));
    if (photo.low !== null) {
      lines.push(element("div", { className: "interval" }, `${photo.low.toFixed(2)} to ${photo.high.toFixed(2)}`));
    }
  } else {
    lines.push(element("div", { className: "wrong", title: photo.error }, photo.error));
  }
  const link = element("a", { className: "name", href: photo.link, target: "_blank", rel: "noopener", title: photo.path, tabIndex: -1 });
  const letters = [...photo.name]; // an emoji is one of them
  link.append(...[letters.slice(0, -9), letters.slice(-9)].map((part) => element("span", {}, part.join(""))));
  lines.push(link);
  if (photo.burst) {
    const { number, size, isBest } = photo.burst;
    lines.push(element("span", { className: "mark" }, `Burst ${number}: ${isBest ? "best of" : "one of"} ${size}`));
  }
  return lines;
}

// The first pieces are made at once, and each next one when the end of the page comes near.
function makeCards(until) {
  const cards = shown.slice(made, until).map(card);
  made += cards.length;
  at("grid").append(...cards);
}

const nearEnd = new IntersectionObserver(
  (entries) => {
    if (!entries.some((entry) => entry.isIntersecting) || made >= shown.length) return;
    makeCards(made + PIECE);
    watchEnd();
  },
  { rootMargin: "1500px" },
);

function watchEnd() {
  nearEnd.unobserve(at("end")); // so that it is told again when the end is still near
  nearEnd.observe(at("end"));
}

// ---- filters ----

const ORDERS = {
  bursts: null, // as they come
  best: (a, b) => (b.score ?? -Infinity) - (a.score ?? -Infinity) || 0,
  worst: (a, b) => (a.score ?? Infinity) - (b.score ?? Infinity) || 0,
  name: (a, b) => a.path.localeCompare(b.path, "en", { numeric: true }),
};
const KINDS = {
  all: () => true,
  scored: (photo) => photo.error === null,
  errors: (photo) => photo.error !== null,
  bursts: (photo) => photo.burst,
  best: (photo) => photo.error === null && (!photo.burst || photo.burst.isBest),
  selected: (photo) => selected.has(photo),
};

function show() {
  const [from, to] = [Number(at("from").value), Number(at("to").value)];
  const [text, folder, isKind] = [at("search").value.toLowerCase(), at("folder").value, KINDS[at("which").value]];
  const takesErrors = (from <= lowest && to >= highest) || at("which").value === "errors";
  shown = photos.filter(
    (photo) =>
      (photo.score === null ? takesErrors : photo.score >= from && photo.score <= to) &&
      photo.path.toLowerCase().includes(text) &&
      (folder === "" || FOLDERS[folder] === photo.folder) &&
      isKind(photo),
  );
  const order = ORDERS[at("order").value];
  if (order) shown.sort(order);
  placeMap(null);
  at("grid").replaceChildren();
  made = active = 0;
  makeCards(PIECE);
  if (shown.length) setActive(0);
  watchEnd();
  at("count").textContent = `${shown.length.toLocaleString("en")} of ${plural(photos.length, "photo")} shown.`;
  at("select-shown").disabled = shown.length === 0;
  at("from-shown").textContent = from.toFixed(2);
  at("to-shown").textContent = to.toFixed(2);
  drawHistogram(from, to);
}

const scores = photos.filter((photo) => photo.score !== null).map((photo) => photo.score);
const lowest = Math.floor(scores.reduce((a, b) => Math.min(a, b), 1) * 100) / 100;
const highest = Math.ceil(scores.reduce((a, b) => Math.max(a, b), 0) * 100) / 100;
const FOLDERS = [...new Set(photos.map((photo) => photo.folder))].sort();
const BINS = 40;
const binWidth = (highest - lowest) / BINS || 1;
const counts = new Array(BINS).fill(0);
for (const score of scores) counts[Math.max(Math.min(Math.floor((score - lowest) / binWidth), BINS - 1), 0)] += 1;

function drawHistogram(from, to) {
  const most = Math.max(...counts, 1);
  const bars = counts.map((count, bin) => {
    const left = lowest + bin * binWidth;
    const inside = left + binWidth > from && left < to;
    const bar = element("i", { className: inside ? "inside" : "", title: `${left.toFixed(2)}: ${plural(count, "photo")}` });
    bar.style.height = count ? `${Math.max((100 * count) / most, 3)}%` : "0";
    return bar;
  });
  at("histogram").replaceChildren(...bars);
}

function setUpFilters() {
  at("histogram").setAttribute(
    "aria-label",
    `Histogram of ${plural(scores.length, "score")} between ${lowest.toFixed(2)} and ${highest.toFixed(2)}`,
  );
  for (const [id, value] of [["from", lowest], ["to", highest]]) {
    Object.assign(at(id), { min: lowest, max: highest });
    at(id).value = value;
  }
  // By number: the empty value stands for all, and a photo may lie in the folder "".
  FOLDERS.forEach((folder, number) => at("folder").append(element("option", { value: number }, folder || "(this folder)")));
  at("folder").parentElement.hidden = FOLDERS.length < 2;
  document.querySelector(".scores").hidden = scores.length === 0;
  let waiting = 0;
  for (const id of ["from", "to", "search", "folder", "which", "order"]) {
    at(id).addEventListener("input", () => {
      if (id === "from" && Number(at("from").value) > Number(at("to").value)) at("to").value = at("from").value;
      if (id === "to" && Number(at("to").value) < Number(at("from").value)) at("from").value = at("to").value;
      cancelAnimationFrame(waiting);
      waiting = requestAnimationFrame(show);
    });
  }
}

// ---- selection ----

function mark(item) {
  item.querySelector(".photo").setAttribute("aria-pressed", selected.has(item.photo));
}

function toggle(item) {
  if (!selected.delete(item.photo)) selected.add(item.photo);
  mark(item);
  countSelected();
}

function countSelected() {
  at("selected-count").textContent = selected.size ? `${plural(selected.size, "photo")} selected` : "No photo selected";
  at("clear").disabled = at("list").disabled = selected.size === 0;
}

function setAll(change) {
  change();
  for (const item of at("grid").children) mark(item);
  countSelected();
}

function listOfPaths() {
  return photos.filter((photo) => selected.has(photo)).map((photo) => `${photo.path}\n`).join("");
}

function openList() {
  const paths = listOfPaths();
  at("paths").value = paths;
  at("copied").textContent = "";
  at("download").onclick = () => { kept = paths; };
  URL.revokeObjectURL(at("download").href);
  at("download").href = URL.createObjectURL(new Blob([paths], { type: "text/plain" }));
  at("dialog").showModal();
  at("paths").setSelectionRange(0, 0); // the best photo is in sight
}

async function copyList() {
  try {
    await navigator.clipboard.writeText(at("paths").value);
    kept = at("paths").value;
    at("copied").textContent = "Copied.";
  } catch {
    at("paths").select(); // the browser does not let a page copy
    at("copied").textContent = "The paths are marked: copy them with Ctrl+C.";
  }
}

let kept = ""; // the list that was last copied or downloaded
addEventListener("beforeunload", (event) => {
  if (selected.size && listOfPaths() !== kept) event.preventDefault(); // the browser asks whether to leave
});

// ---- printing ----

addEventListener("beforeprint", () => makeCards(shown.length));

// ---- moving ----

const itemAt = (number) => at("grid").children[number];

function setActive(number) {
  for (const [place, tabIndex] of [[active, -1], [number, 0]]) {
    for (const one of itemAt(place)?.querySelectorAll(".photo, .name") ?? []) one.tabIndex = tabIndex;
  }
  active = number;
}

function move(event) {
  const columns = getComputedStyle(at("grid")).gridTemplateColumns.split(" ").length;
  const last = shown.length - 1;
  const to = {
    ArrowLeft: active - 1,
    ArrowRight: active + 1,
    ArrowUp: active - columns,
    ArrowDown: active + columns,
    Home: 0,
    End: last,
  }[event.key];
  if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  if (to < 0 || to > last) return;
  if (to >= made) makeCards(to + PIECE);
  setActive(to);
  itemAt(to).querySelector(".photo").focus();
}

// ---- quality maps ----

const canvas = element("canvas", { ariaHidden: "true" });
const keyLow = element("span");
const keyHigh = element("span");
const key = element("span", { className: "key", ariaHidden: "true" }, keyLow, element("span", { className: "ramp" }), keyHigh);
const COLOURS = data.colours.map((colour) => [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16)));

function colourOf(level) {
  const place = Math.min(Math.max(level, 0), 1) * 2;
  const [first, second] = place < 1 ? [COLOURS[0], COLOURS[1]] : [COLOURS[1], COLOURS[2]];
  const share = place < 1 ? place : place - 1;
  return first.map((value, channel) => value + (second[channel] - value) * share);
}

function drawMap({ columns, low, high, levels }) {
  const bytes = Uint8Array.from(atob(levels), (one) => one.charCodeAt(0));
  const [from, to] = at("map").value === "relative" ? [low, high] : data.limits;
  Object.assign(canvas, { width: columns, height: bytes.length / columns });
  const pixels = new ImageData(canvas.width, canvas.height);
  bytes.forEach((level, place) => {
    const quality = low + (level / 255) * (high - low);
    const share = to > from ? (quality - from) / (to - from) : 0.5;
    pixels.data.set([...colourOf(share), 255], 4 * place);
  });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  keyLow.textContent = from.toFixed(2);
  keyHigh.textContent = to.toFixed(2);
}

// One canvas for all: it moves to the photo whose map is wanted.
function placeMap(item) {
  const frame = item?.querySelector(".frame");
  const wanted = at("map") && at("map").value !== "none" && frame && item.photo.map;
  if (!wanted) {
    canvas.remove();
    key.remove();
    return;
  }
  drawMap(item.photo.map);
  frame.append(canvas);
  frame.parentElement.append(key);
}

function explainMap() {
  const kind = at("map").value;
  const [low, high] = data.limits;
  at("legend").hidden = kind === "none";
  if (kind === "relative") {
    at("legend-low").textContent = "lowest";
    at("legend-high").textContent = "highest";
    at("legend-meaning").textContent =
      "The ends are the lowest and the highest value of each photo's own map. The colours of two photos do not compare. ";
  } else {
    at("legend-low").textContent = low.toFixed(2);
    at("legend-high").textContent = high.toFixed(2);
    at("legend-meaning").textContent =
      (data.calibrated ? "The ends are the scores of the worst and the best training photo. " : "") +
      "The colours of two photos compare. ";
  }
  at("legend-meaning").textContent += "Smooth parts, such as sky, can be low without any damage.";
}

// ---- events ----

const itemOf = (event) => event.target.closest(".card");

function setUpGrid() {
  const grid = at("grid");
  grid.addEventListener("keydown", move);
  grid.addEventListener("focusin", (event) => {
    setActive([...grid.children].indexOf(itemOf(event)));
    placeMap(itemOf(event));
  });
  grid.addEventListener("focusout", () => placeMap(null));
  grid.addEventListener("pointerover", (event) => {
    if (event.pointerType === "mouse") placeMap(event.target.closest(".photo") ? itemOf(event) : null);
  });
  grid.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && placeMap(null));
  grid.addEventListener("click", (event) => {
    if (!event.target.closest(".photo")) return;
    const item = itemOf(event);
    const isTap = event.pointerType === "touch" && !event.target.closest(".tick");
    if (isTap) placeMap(canvas.closest(".card") === item && tapped === item ? null : item);
    else toggle(item);
    tapped = isTap && canvas.isConnected ? item : null;
  });
}
let tapped = null; // a second tap on a photo takes its map away

function setUpTheme() {
  const isDark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = () => { at("theme").textContent = isDark() ? "Light" : "Dark"; };
  at("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    label();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
  label();
}

at("select-shown").addEventListener("click", () => setAll(() => shown.forEach((photo) => selected.add(photo))));
at("clear").addEventListener("click", () => setAll(() => selected.clear()));
at("list").addEventListener("click", openList);
at("copy").addEventListener("click", copyList);
at("close").addEventListener("click", () => at("dialog").close());
at("map")?.addEventListener("input", explainMap);
if (at("map")) explainMap();
at("more").open = !matchMedia("(max-width: 600px)").matches;
setUpTheme();
setUpFilters();
setUpGrid();
show();
