"""The page: four tabs around one scorer."""

from __future__ import annotations

import importlib.util
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
from .limits import DELETE_AFTER, DELETE_EVERY, MAX_PHOTOS, MAX_QUEUE, SUFFIXES, SUMMARY
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
# The handle on the pictures is for pointers only; this slider is for keyboards as well.
_MOVE_HANDLE = "(position) => ({__type__: 'update', slider_position: position})"


def build_demo(scorer: Scorer, *, delete_cache: tuple[int, int] = (DELETE_EVERY, DELETE_AFTER)) -> gr.Blocks:
    """Builds the page and its endpoints, which [`dpiqa.demo.web.build_web_app`] serves within its limits.

    Args:
        scorer: What scores; students with the pooled head also have quality maps.
        delete_cache: (seconds between two clearings of the temporary folder, age in seconds of the files that go).
    """
    with ConfinedBlocks(title=_TITLE, analytics_enabled=False, delete_cache=delete_cache) as demo:
        gr.Markdown(
            f"# {_TITLE}\nA quality score without a reference picture, from 0 (bad) to 1 (excellent), by "
            "[dpiqa](https://arxiv.org/abs/2405.19996).",
            elem_id="dpiqa-title",
        )
        with gr.Tab("Score"):
            _score_tab(scorer)
        with gr.Tab("Rank"):
            _rank_tab(scorer)
        with gr.Tab("Distort"):
            _distort_tab(scorer)
        with gr.Tab("About"):
            gr.Markdown(f"{SUMMARY}\n\n{card_text(scorer)}")
        add_endpoints(scorer, **_ONE_AT_A_TIME)
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


def _score_tab(scorer: Scorer) -> None:
    with gr.Row():
        with gr.Column(min_width=300):
            photo = _photo_input("Your photo")
            gr.Markdown(SUMMARY)
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
                )
                gr.HTML(views.map_legend(colour_range(scorer.config.score_quantiles)), padding=False)
                position = gr.Slider(0, 100, value=50, step=1, label="Show the map (0) or the photo (100)")

    def show(file: Any) -> tuple[Any, ...]:
        if file is None:
            return views.EMPTY, None, gr.update(visible=False)
        [scored] = score_uploads(scorer, [to_upload(file)], return_map=True)
        pair = map_overlay(scorer, scored)
        card = views.score_card(scored, scorer.config.interval_coverage)
        return card, pair, gr.update(visible=pair is not None)

    photo.change(show, photo, [card, overlay, map_group], **_EVENT)
    position.input(None, position, overlay, js=_MOVE_HANDLE, api_visibility="private")


def _rank_tab(scorer: Scorer) -> None:
    photos = gr.File(
        label=f"Up to {MAX_PHOTOS} photos", file_count="multiple", file_types=SUFFIXES, elem_id="dpiqa-photos"
    )
    gallery = gr.Gallery(
        label="The best first",
        columns=3,
        height="auto",
        visible=False,
        buttons=["fullscreen"],
        elem_id="dpiqa-ranking",
    )
    errors = gr.HTML(padding=False)
    download = gr.DownloadButton("Download the scores as CSV", visible=False)

    def show(files: Any) -> tuple[Any, ...]:
        ranked = rank_uploads(scorer, to_uploads(files)) if files else []
        pictures = [
            (preview, f"{place}. {item.score.score:.3f}  {item.name}")
            for place, item in enumerate(ranked, 1)
            if (preview := item.preview()) is not None
        ]
        csv = gr.update(value=_write_csv(ranked), visible=True) if ranked else gr.update(visible=False)
        return gr.update(value=pictures, visible=bool(pictures)), views.error_list(ranked), csv

    photos.change(show, photos, [gallery, errors, download], **_EVENT)


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
            distorted = score_distorted(scorer, open_preview(upload), Strengths(*strengths))
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
    """Offers scikit-learn's two sample photos, where it is installed; none are shipped with dpiqa."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        return
    folder = Path(spec.origin).parent / "datasets" / "images"
    found = [[str(path)] for path in sorted(folder.glob("*.jpg"))]
    if found:
        gr.Examples(found, photo, label="Or one of these", cache_examples=False, api_visibility="private")


def _write_csv(ranked: list[ScoredUpload]) -> str:
    path = Path(tempfile.mkdtemp(dir=get_upload_folder())) / "scores.csv"
    with open_writer(path) as writer:
        for item in ranked:
            writer.write(item.row())
    return str(path)
