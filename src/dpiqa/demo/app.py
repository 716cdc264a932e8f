"""The page: four tabs around one scorer."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from huggingface_hub import ModelCard, hf_hub_download
from huggingface_hub.utils import httpx

from ..data.distortions import MAX_STRENGTH, Strengths
from ..models.images import OPENING_ERRORS, reason_of
from ..scoring.checkpoint_source import only_local
from ..scoring.quality_maps import colour_range
from ..scoring.score_files import open_writer
from ..scoring.scorer import Scorer
from . import views
from .api import add_endpoints
from .examples import LABEL, write_examples
from .limits import MAX_QUEUE, SUFFIXES, Limits
from .scored_uploads import (
    ScoredUpload,
    map_overlay,
    open_preview,
    rank_uploads,
    score_distorted,
    score_uploads,
)
from .sessions import Sessions
from .uploads import ConfinedBlocks, to_upload, to_uploads

_TITLE = "How good does your photo look?"
# One photo at a time: memory stays bounded, and more at once would not be faster.
_ONE_AT_A_TIME: dict[str, Any] = {"concurrency_id": "scorer", "concurrency_limit": 1}
# Without gradio's preprocessing, which opens images.
_EVENT: dict[str, Any] = {"api_visibility": "private", "preprocess": False, **_ONE_AT_A_TIME}
# Pictures in a gallery: they are in memory together, here and in the browser.
_MAX_SHOWN = 100
# The handle on the pictures is for pointers only; this slider is for keyboards as well.
_MOVE_HANDLE = "(position) => ({__type__: 'update', slider_position: position})"


def build_demo(scorer: Scorer, limits: Limits) -> gr.Blocks:
    """Builds the page and its endpoints, which [`dpiqa.demo.web.build_web_app`] serves within its limits.

    Args:
        scorer: What scores; students with the pooled head also have quality maps.
        limits: How much it takes, and how long it keeps it.
    """
    delete_cache = (limits.delete_every, limits.delete_after)
    with ConfinedBlocks(title=_TITLE, analytics_enabled=False, delete_cache=delete_cache) as demo:
        gr.Markdown(
            f"# {_TITLE}\nA quality score without a reference picture, from 0 (bad) to 1 (excellent), by "
            "[dpiqa](https://arxiv.org/abs/2405.19996).",
            elem_id="dpiqa-title",
        )
        with gr.Tab("Score"):
            _score_tab(scorer, limits)
        with gr.Tab("Rank"):
            _rank_tab(scorer, limits)
        with gr.Tab("Distort"):
            _distort_tab(scorer)
        with gr.Tab("About"):
            gr.Markdown(f"{limits.summary}\n\n{card_text(scorer)}")
        add_endpoints(scorer, limits, **_ONE_AT_A_TIME)
    demo.queue(max_size=MAX_QUEUE, api_open=False)
    demo._queue.pending_messages_per_session = Sessions(demo._queue.pending_messages_per_session.max_size)
    return demo


def card_text(scorer: Scorer) -> str:
    """The model card of the scorer's checkpoint, or a line in its place."""
    source = scorer.backend.source
    card: str | Path = Path(source) / "README.md"
    try:
        if not Path(source).is_dir():
            card = hf_hub_download(source, "README.md", local_files_only=only_local(source))
        return ModelCard.load(card).text
    except (OSError, ValueError, httpx.HTTPError):
        return f"The model is `{source}`; no model card came with it."


def _score_tab(scorer: Scorer, limits: Limits) -> None:
    with gr.Row():
        with gr.Column(min_width=300):
            photo = _photo_input("Your photo")
            gr.Markdown(limits.summary)
            _examples(photo)
        with gr.Column(min_width=300):
            card = gr.HTML(views.EMPTY, padding=False)
            with gr.Group(visible=False) as map_group:
                overlay = gr.ImageSlider(
                    label="Photo and quality map",
                    interactive=False,
                    buttons=["fullscreen"],
                    max_height=420,
                    elem_id="dpiqa-map",
                    slider_position=0,  # the whole map: the photo is to be seen beside it
                )
                gr.HTML(views.map_legend(colour_range(scorer.config.score_quantiles)), padding=False)
                position = gr.Slider(0, 100, value=0, step=1, label="Show the map (0) or the photo (100)")

    def show(file: Any) -> tuple[Any, ...]:
        if file is None:
            return views.EMPTY, None, gr.update(visible=False)
        [scored] = score_uploads(scorer, [to_upload(file)], return_map=True)
        pair = map_overlay(scorer, scored)
        card = views.score_card(scored, scorer.config.interval_coverage)
        return card, pair, gr.update(visible=pair is not None)

    photo.change(show, photo, [card, overlay, map_group], **_EVENT)
    position.input(None, position, overlay, js=_MOVE_HANDLE, api_visibility="private")


def _rank_tab(scorer: Scorer, limits: Limits) -> None:
    photos = gr.File(
        label=f"Up to {limits.max_photos:,} photos",
        file_count="multiple",
        file_types=SUFFIXES,
        height=320,  # from there on, the list of names scrolls
        elem_id="dpiqa-photos",
    )
    gallery = gr.Gallery(
        label="The best first",
        columns=3,
        height="auto",
        visible=False,
        buttons=["fullscreen"],
        elem_id="dpiqa-ranking",
    )
    notes = gr.HTML(padding=False)
    download = gr.DownloadButton("Download the scores as CSV", visible=False)

    def show(files: Any) -> tuple[Any, ...]:
        ranked = rank_uploads(scorer, to_uploads(files, limits)) if files else []
        pictures = [
            (preview, f"{place}. {item.score.score:.3f}  {item.name}")
            for place, item in enumerate(ranked[:_MAX_SHOWN], 1)
            if (preview := item.preview(scorer)) is not None
        ]
        csv = gr.update(value=_write_csv(ranked), visible=True) if ranked else gr.update(visible=False)
        return gr.update(value=pictures, visible=bool(pictures)), views.ranking_notes(ranked, _MAX_SHOWN), csv

    photos.change(show, photos, [gallery, notes, download], **_EVENT)


def _distort_tab(scorer: Scorer) -> None:
    with gr.Row():
        with gr.Column(min_width=300):
            photo = _photo_input("A photo to distort")
            sliders = [
                gr.Slider(0, MAX_STRENGTH, value=value, step=1, label=label, info=info)
                for label, value, info in (
                    ("JPEG", 0, "100 is quality 5"),
                    ("Blur", 40, "100 is a radius of 8 pixels"),
                    ("Noise", 0, "100 is a standard deviation of 80 grey levels"),
                    ("Resize", 0, "100 is 12 times smaller and back again"),
                )
            ]
        with gr.Column(min_width=300):
            card = gr.HTML(views.EMPTY, padding=False)
            result = gr.Image(
                label="Distorted",
                visible=False,
                interactive=False,
                buttons=["fullscreen"],
                alt_text="The distorted photo",
            )

    def show(file: Any, *strengths: float) -> tuple[Any, ...]:
        if file is None:
            return views.EMPTY, gr.update(visible=False, value=None)
        upload = to_upload(file)
        try:
            distorted = score_distorted(scorer, open_preview(scorer, upload), Strengths(*strengths))
        except OPENING_ERRORS as error:
            return views.error_card(reason_of(error, upload.path)), gr.update(visible=False, value=None)
        return views.curve_card(distorted), gr.update(value=distorted.preview, visible=True)

    triggers = [photo.change, *(slider.input for slider in sliders)]
    gr.on(triggers, show, [photo, *sliders], [card, result], trigger_mode="always_last", **_EVENT)


def _photo_input(label: str) -> gr.Image:
    return gr.Image(
        label=label,
        sources=["upload", "clipboard"],
        height=320,
        buttons=["fullscreen"],
        alt_text="The photo you chose",
    )


def _examples(photo: gr.Image) -> None:
    paths = [str(path) for path in write_examples(Path(get_upload_folder(), "examples"))]
    if not paths:
        return

    def choose(number: Any) -> str:
        if not isinstance(number, int) or not 0 <= number < len(paths):
            raise gr.Error("There is no such example.", print_exception=False)
        return paths[number]

    # gr.Examples would go around the queue, on a route that the gate keeps closed.
    examples = gr.Dataset(
        label=LABEL, components=[photo], samples=[[path] for path in paths], elem_id="dpiqa-examples"
    )
    examples.click(choose, examples, photo, **_EVENT)


def _write_csv(ranked: list[ScoredUpload]) -> str:
    path = Path(tempfile.mkdtemp(dir=get_upload_folder())) / "scores.csv"
    with open_writer(path) as writer:
        for item in ranked:
            writer.write(item.row())
    return str(path)
