"""The quality prompts of the teacher and their embeddings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import CLIPTextModelWithProjection

_QUALITIES = ("bad", "poor", "fair", "good", "perfect")
_SCENES = ("animal", "cityscape", "human", "indoor", "landscape", "night", "plant", "still_life", "others")
_DISTORTIONS = (
    "jpeg2000 compression",
    "jpeg compression",
    "white noise",
    "gaussian blur",
    "fastfading",
    "fnoise",
    "contrast",
    "lens",
    "motion",
    "diffusion",
    "shifting",
    "color quantization",
    "oversaturation",
    "desaturation",
    "white with color",
    "impulse",
    "multiplicative",
    "white noise with denoise",
    "brighten",
    "darken",
    "shifting the mean",
    "jitter",
    "noneccentricity patch",
    "pixelate",
    "quantization",
    "color blocking",
    "sharpness",
    "realistic blur",
    "realistic noise",
    "underexposure",
    "overexposure",
    "realistic contrast change",
    "other realistic",
)


@dataclass(frozen=True)
class PromptGrid:
    """Every combination of quality, scene and distortion in one sentence, in this order (DP-IQA, section 3.2).

    The defaults are the 5 x 9 x 33 = 1,485 prompts of the published code; the paper's tables give other counts.

    Args:
        template: Sentence with `{scene}`, `{distortion}` and `{quality}`.
        scenes: What the photo may show.
        distortions: What may be wrong with it.
        qualities: From bad to good.

    Example:
        >>> len(PromptGrid())
        1485
        >>> next(iter(PromptGrid()))
        'a photo of a animal with jpeg2000 compression artifacts, which is of bad quality'
    """

    template: str = "a photo of a {scene} with {distortion} artifacts, which is of {quality} quality"
    scenes: Sequence[str] = _SCENES
    distortions: Sequence[str] = _DISTORTIONS
    qualities: Sequence[str] = _QUALITIES

    def __len__(self) -> int:
        return len(self.qualities) * len(self.scenes) * len(self.distortions)

    def __iter__(self) -> Iterator[str]:
        for quality, scene, distortion in product(self.qualities, self.scenes, self.distortions):
            yield self.template.format(scene=scene, distortion=distortion, quality=quality)

    def to_dict(self) -> dict[str, Any]:
        """The fields, as they are in a checkpoint's config."""
        return {key: value if isinstance(value, str) else list(value) for key, value in asdict(self).items()}


def load_text_model(source: str | os.PathLike[str], **hub_options: Any) -> tuple[Any, CLIPTextModelWithProjection]:
    """Loads the tokenizer and the text half of a CLIP checkpoint.

    Args:
        source: Folder or Hub id, such as "openai/clip-vit-large-patch14".
        **hub_options: `revision`, `cache_dir`, `token`, `local_files_only`.

    Raises:
        OSError: When there is no such checkpoint, or it has no tokenizer.
    """
    from transformers import AutoTokenizer, CLIPTextModelWithProjection

    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **hub_options)
    except ValueError as error:
        raise OSError(
            f"{source} has no tokenizer that can be read: expected a CLIP text model and its tokenizer "
            "(tokenizer.json, or vocab.json and merges.txt) in one place, such as openai/clip-vit-large-patch14."
        ) from error
    return tokenizer, CLIPTextModelWithProjection.from_pretrained(source, **hub_options).eval()


def check_prompts(prompts: PromptGrid | Sequence[str]) -> None:
    """Refuses what is no list of sentences.

    Raises:
        TypeError: When it is one string, whose letters would be the prompts.
        ValueError: When there is no prompt.
    """
    if isinstance(prompts, str):
        raise TypeError(f"Expected a PromptGrid or a list of prompts, got one string: write [{prompts!r}].")
    if not prompts:
        raise ValueError("There is no prompt to encode.")


@torch.no_grad()
def encode_prompts(
    prompts: Sequence[str],
    tokenizer: Any,
    text_model: CLIPTextModelWithProjection,
    *,
    text_features: str = "projected",
    batch_size: int = 64,
) -> torch.Tensor:
    """Computes the teacher's prompt embeddings, in the order of the prompts.

    Args:
        prompts: Sentences; what is longer than the tokenizer allows is cut.
        tokenizer: The text model's.
        text_model: CLIP text model with projection.
        text_features: "projected": one row per prompt, its features in the space that CLIP shares with images, not
            normalised (the published code). "pooled": one row per prompt, before the projection. "tokens": one row
            per token of every prompt, as in Stable Diffusion's own context, all prompts one after the other (tens of
            thousands of rows for the published grid, so meant for small ones).
        batch_size: Prompts per forward pass.

    Returns:
        (rows, width) float32; width is the projection's for "projected", else the text model's.

    Raises:
        TypeError: When `prompts` is one string.
        ValueError: When `text_features` is another word or there is no prompt.
    """
    if text_features not in ("projected", "pooled", "tokens"):
        raise ValueError(f'Unknown text_features {text_features!r}: expected "projected", "pooled" or "tokens".')
    check_prompts(prompts)
    rows = []
    for start in range(0, len(prompts), batch_size):
        tokens = tokenizer(
            list(prompts[start : start + batch_size]), padding=True, truncation=True, return_tensors="pt"
        ).to(text_model.device)
        if text_features == "projected":
            rows.append(text_model(**tokens).text_embeds)
            continue
        output = text_model.text_model(**tokens)
        pooled = text_features == "pooled"
        rows.append(output.pooler_output if pooled else output.last_hidden_state[tokens["attention_mask"].bool()])
    return torch.cat(rows).float().cpu()
