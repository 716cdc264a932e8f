"""`dpiqa select`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, NoReturn

import typer

from ..counting import counted
from .extras import missing_extra
from .load import find_photos, load_scorer, skipped
from .score_output import one_sentence, with_progress
from .terminal import sentence, visible, wrong_usage

if TYPE_CHECKING:
    from ..culling.selection import RatedPhoto, Share


class _Rated(NamedTuple):
    """The photos that there are to choose from, how many more have no score, and what else was found."""

    photos: list[RatedPhoto]
    failed: int
    skipped: str


def select(
    ctx: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUTS",
            help="Photos, folders or patterns; - reads a list of paths from stdin. Or one file that dpiqa score "
            "wrote, or the folder of --engine ray, so that nothing is scored again.",
        ),
    ],
    top: Annotated[
        str | None,
        typer.Option(
            metavar="N|N%", help="How many photos to select, such as 20, or which share, such as 10%, rounded."
        ),
    ] = None,
    min_score: Annotated[float | None, typer.Option(help="The lowest score to select.")] = None,
    best_of_burst: Annotated[
        bool, typer.Option("--best-of-burst", help="Keep only the best of photos that look nearly the same.")
    ] = False,
    copy_to: Annotated[Path | None, typer.Option(help="Folder to copy the selected photos to.")] = None,
    link_to: Annotated[Path | None, typer.Option(help="Folder for symbolic links to the selected photos.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File for the paths of the selected photos, one on each line."),
    ] = None,
    print0: Annotated[
        bool, typer.Option("--print0", "-0", help="End paths with a zero byte, as xargs -0 reads them.")
    ] = False,
    xmp: Annotated[
        bool, typer.Option("--xmp", help="Write 1 to 5 stars for every photo into an XMP sidecar beside it.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of --output.")] = False,
    model: Annotated[
        str | None,
        typer.Option(help="Folder or Hub id of a student or a teacher.", show_default="the bundled student"),
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            envvar="DPIQA_BACKEND", help="torch, onnx or openvino; auto takes the fastest, as dpiqa score does."
        ),
    ] = "auto",
    device: Annotated[str, typer.Option(help="auto (cuda, else mps, else cpu), or a torch device.")] = "auto",
) -> None:
    """Select the best photos: print their paths, copy them, or link to them.

    It never moves, changes or replaces a photo. The options work in this order: --best-of-burst keeps one photo of
    each burst, --top takes the best of these, and --min-score drops those that score less.
    """
    from ..culling.selection import select as best

    scores = _only_scores(inputs)
    if scores is not None:
        _check_not_scored(ctx, scores)
    wanted = _parse_top(top)
    if not (wanted or min_score is not None or best_of_burst or xmp):
        raise typer.BadParameter("say which photos: --top, --min-score or --best-of-burst; or rate all with --xmp")
    if copy_to is not None and link_to is not None:
        raise typer.BadParameter("cannot be combined with --copy-to", param_hint="--link-to")
    if folder := copy_to or link_to:
        _check_folder(folder, scores, "--copy-to" if copy_to else "--link-to")
    if output is not None:
        _check_output(output, overwrite)
    with one_sentence(None):
        rated = (
            _from_photos(inputs, copy_to, link_to, model, backend, device)
            if scores is None
            else _from_scores(Path(scores))
        )
        if output is not None:
            _check_is_none_of(output, [*inputs, *(photo.path for photo in rated.photos)])
        photos = _best_of_bursts(rated.photos) if best_of_burst else rated.photos
        chosen = [photo.path for photo in best(photos, top=wanted, min_score=min_score)]
        only_rated = xmp and not (wanted or min_score is not None or best_of_burst)
        said = [] if only_rated else [f"{len(chosen)} of {counted(len(rated.photos), 'photo')} selected"]
        if folder:
            said.append(_take(chosen, folder, rated.photos, link=link_to is not None))
        gone = 0
        if xmp:
            sidecars, gone = _rate(rated.photos)
            said.append(sidecars)
        if output is not None:
            _write_list(output, chosen, b"\0" if print0 else b"\n")
            said.append(f"written to {visible(str(output))}")
        elif not (folder or only_rated):
            _print_list(chosen, b"\0" if print0 else b"\n")
    said += [f"{counted(gone, 'photo')} not found"] if gone else []
    said += [f"{counted(rated.failed, 'photo')} without a score"] if rated.failed else []
    said += [rated.skipped] if rated.skipped else []
    print(", ".join(said), file=sys.stderr)
    raise typer.Exit(0 if len(rated.photos) > gone else 1)


def _parse_top(text: str | None) -> int | Share | None:
    from ..culling.selection import Share

    if text is None:
        return None
    try:
        number = float(text.removesuffix("%")) / 100 if text.endswith("%") else int(text)
    except ValueError:
        number = 0
    if text.endswith("%") and 0 < number <= 1:
        return Share(number)
    if isinstance(number, int) and number > 0:
        return number
    raise typer.BadParameter(
        f"expected a number such as 20, or a share such as 10%, got {visible(text)}", param_hint="--top"
    )


def _only_scores(inputs: Sequence[str]) -> str | None:
    """The scores that are named, or None where photos are."""
    from ..culling.selection import has_scores

    scores = [name for name in inputs if has_scores(name)]
    if not scores:
        _check_no_tars(inputs)
        return None
    if len(inputs) > 1:
        raise typer.BadParameter(
            f"expected photos, or the scores of one run and nothing else, found {visible(scores[0])} among "
            f"{len(inputs)} inputs: name it alone, or name the photos",
            param_hint="INPUTS",
        )
    return scores[0]


def _check_no_tars(inputs: Sequence[str]) -> None:
    from ..scoring.engines.shards import TAR_SUFFIXES

    for name in inputs:
        if name.lower().endswith(TAR_SUFFIXES):
            raise typer.BadParameter(
                f"expected photos or scores of them, found {visible(name)}, a tar: write its scores with "
                "dpiqa score --engine ray -o FOLDER, and select from that folder",
                param_hint="INPUTS",
            )


def _check_not_scored(ctx: typer.Context, scores: str) -> None:
    """Refuses options that say how to score; a variable of the environment may stand for all commands."""
    for name in ("model", "backend", "device"):
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(
                f"is for photos, and {visible(scores)} has scores already: leave it out, or name the photos",
                param_hint=f"--{name}",
            )


def _check_folder(folder: Path, scores: str | None, option: str) -> None:
    nearest = next(one for one in (folder, *folder.absolute().parents) if os.path.lexists(one))
    if not nearest.is_dir():
        raise typer.BadParameter(f"{visible(str(nearest))} is a file: name a folder", param_hint=option)
    if scores is not None and folder.resolve().is_relative_to(Path(scores).resolve()):
        raise typer.BadParameter(f"{visible(str(folder))} is among the scores: name another", param_hint=option)


def _check_output(output: Path, overwrite: bool) -> None:
    if output.is_dir():
        raise typer.BadParameter(f"{visible(str(output))} is a folder: name a file", param_hint="--output")
    if not output.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {visible(str(output.parent))}", param_hint="--output")
    if output.exists() and not overwrite:
        raise typer.BadParameter(
            f"{visible(str(output))} exists already: allow it with --overwrite", param_hint="--output"
        )


def _check_is_none_of(output: Path, inputs: Sequence[str]) -> None:
    """A list must not replace what it was made from."""
    if output.exists() and any(os.path.exists(name) and output.samefile(name) for name in inputs):
        raise typer.BadParameter(f"{visible(str(output))} is also one of the inputs", param_hint="--output")


def _from_scores(place: Path) -> _Rated:
    from ..culling.selection import read_scores

    with wrong_usage("INPUTS"):
        return _Rated(*read_scores(place), "")


def _from_photos(
    inputs: list[str], copy_to: Path | None, link_to: Path | None, model: str | None, backend: str, device: str
) -> _Rated:
    from ..culling.selection import RatedPhoto

    found = find_photos(inputs, "INPUTS")
    for option, folder in (("--copy-to", copy_to), ("--link-to", link_to)):
        if folder is not None and found.holds(folder):
            message = f"{visible(str(folder))} is among the photos, and would be selected from next time: name another"
            raise typer.BadParameter(message, param_hint=option)
    scorer = load_scorer(model, backend=backend, device=device)
    results = with_progress(scorer.stream(found.paths), len(found.paths))
    photos = [
        RatedPhoto(path, result.score)
        for path, result in zip(found.paths, results, strict=True)
        if result.error is None
    ]
    return _Rated(photos, len(found.entries) - len(photos), skipped(found))


def _best_of_bursts(photos: Sequence[RatedPhoto]) -> list[RatedPhoto]:
    try:
        from ..culling.bursts import best_of_groups, burst_groups

        groups = burst_groups([photo.path for photo in photos])
    except ModuleNotFoundError as error:
        raise missing_extra(error, "cull") from None
    is_best = best_of_groups(groups, [photo.score for photo in photos])
    return [photo for photo, best in zip(photos, is_best, strict=True) if best]


def _take(chosen: Sequence[str], folder: Path, photos: Sequence[RatedPhoto], *, link: bool) -> str:
    from ..culling.destination import Destination

    if not chosen:
        return f"nothing to put into {visible(str(folder))}"
    try:
        before = Destination(folder, [photo.path for photo in photos], link=link).take(chosen)
    except FileExistsError as error:
        raise typer.BadParameter(sentence(error), param_hint="--link-to" if link else "--copy-to") from None
    except OSError as error:
        _stop(error)
    done = f"{'linked from' if link else 'copied to'} {visible(str(folder))}"
    return f"{done} ({before} of them before)" if before else done


def _rate(photos: Sequence[RatedPhoto]) -> tuple[str, int]:
    """Writes sidecars; says how many, and counts the photos that are gone."""
    from ..culling.ratings import stars, write_sidecars

    written = kept = gone = 0
    for path, rating in stars(photos).items():
        try:
            new, old = write_sidecars(path, rating)
        except (FileNotFoundError, NotADirectoryError):
            gone += 1
            continue
        except OSError as error:
            _stop(error)
        written, kept = written + new, kept + old
    parts = f"{counted(written, 'sidecar')} written"
    return f"{parts}, {kept} kept as they were" if kept else parts, gone


def _write_list(output: Path, paths: Sequence[str], end: bytes) -> None:
    with wrong_usage("--output"):
        output.write_bytes(b"".join(os.fsencode(path) + end for path in paths))


def _print_list(paths: Sequence[str], end: bytes) -> None:
    if sys.stdout.isatty():
        for path in paths:
            print(visible(path))
        return
    for path in paths:
        sys.stdout.buffer.write(os.fsencode(path) + end)
    sys.stdout.flush()


def _stop(error: OSError) -> NoReturn:
    print(sentence(error), file=sys.stderr)
    raise typer.Exit(1)
