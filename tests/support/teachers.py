"""Tiny teachers: every kind of part that the real one has, in a few hundred thousand parameters."""

import json
from pathlib import Path

import torch

from dpiqa import DPIQAConfig, DPIQAImageProcessor, DPIQAModel, PromptGrid, Scorer
from support import seeded

AUTOENCODER = {
    "block_out_channels": [8, 16],
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 4,
    "scaling_factor": 0.18215,
}
TINY_AUTOENCODER = {
    "encoder_block_out_channels": [8, 8],
    "decoder_block_out_channels": [8, 8],
    "num_encoder_blocks": [1, 1],
    "num_decoder_blocks": [1, 1],
}
UNET = {
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [16, 32],
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "layers_per_block": 1,
    "attention_head_dim": 2,
    "cross_attention_dim": 24,
    "norm_num_groups": 4,
}


# A mathematical formula among them, for those who draw words.
GRID = PromptGrid(
    qualities=("bad", "good"), scenes=("human", "night", "others"), distortions=("white noise", "blur", "$x$", "jpeg")
)


def config(**kwargs):
    defaults = {
        "autoencoder_config": AUTOENCODER,
        "unet_config": UNET,
        "num_prompts": 10,
        "image_size": 64,
        "feature_size": 16,
        "decoder_channels": 32,
        "hidden_size": 16,
    }
    return DPIQAConfig(**(defaults | kwargs))


def seed(model: DPIQAModel) -> DPIQAModel:
    """Gives every weight a value that follows from its name, so that no adapter is silent and no gamma tiny."""
    for key, value in model.state_dict().items():
        value.copy_(seeded.tensor(key, tuple(value.shape), 1.0))
    return model


def teacher(**kwargs) -> DPIQAModel:
    return seed(DPIQAModel(config(**kwargs)).eval())


def scorer(model: DPIQAModel, height: int = 64, width: int = 64) -> Scorer:
    return Scorer(model, DPIQAImageProcessor(size={"height": height, "width": width}), dtype="float32")


def teacher_of_words(**kwargs) -> DPIQAModel:
    """A teacher whose configuration says the words of its 24 prompts."""
    return teacher(**({"num_prompts": len(GRID), "prompt_grid": GRID.to_dict()} | kwargs))


def save_stable_diffusion(folder: Path, autoencoder_class: str = "AutoencoderKL") -> Path:
    """A folder as a Stable Diffusion pipeline saves it, with a vae and a unet of random weights."""
    import diffusers

    torch.manual_seed(1)
    vae_config = AUTOENCODER if autoencoder_class == "AutoencoderKL" else TINY_AUTOENCODER
    getattr(diffusers, autoencoder_class)(**vae_config).save_pretrained(folder / "vae")
    diffusers.UNet2DConditionModel(**UNET).save_pretrained(folder / "unet")
    return folder


def save_clip(folder: Path, width: int = 24) -> Path:
    """A CLIP text model with projection and a tokenizer that knows letters and a few words."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(code) for code in range(33, 127)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77).save_pretrained(folder)
    torch.manual_seed(2)
    text_config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        projection_dim=width,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    CLIPTextModelWithProjection(text_config).save_pretrained(folder)
    return folder


GOLDEN = Path(__file__).parent / "golden" / "tiny_teacher.json"


def golden_output(kind: str) -> dict[str, list[float]]:
    """What a seeded tiny teacher says about seeded pixels."""
    options = {"AutoencoderKL": {}, "AutoencoderTiny": {"autoencoder_config": TINY_AUTOENCODER}}[kind]
    pixels = seeded.pixels("pixel_values")[:, :, 64:128, 64:128]
    with torch.no_grad():
        output = teacher(autoencoder_type=kind, **options)(pixels, output_hidden_states=True)
    return {
        "score": output.score.tolist(),
        "feature_map_mean": output.feature_map.mean(dim=(1, 2, 3)).tolist(),
        "feature_map_samples": output.feature_map[0, :, 5, 7].tolist(),
        "features": [state[0, 0, 0, :4].tolist() for state in output.hidden_states],
    }


if __name__ == "__main__":
    golden = {kind: golden_output(kind) for kind in ("AutoencoderKL", "AutoencoderTiny")}
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
