"""Writes folders of random weights in the place of Stable Diffusion 1.5 and of its CLIP, in diffusers' format.

    python studies/full_size/stand_in.py --output stand-in
    dpiqa train teacher --stable-diffusion stand-in --text-model stand-in/clip ...

Autoencoder and UNet have Stable Diffusion 1.5's shapes. The text model has the right width, one layer, and a
tokenizer that knows letters: what it says means nothing, like everything else here. With it, the command is the one
that real weights need.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer, set_seed

from dpiqa import DPIQAConfig
from dpiqa.training.script_parser import ScriptParser


def make_parser() -> ScriptParser:
    parser = ScriptParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="folder, 1.9 GB")
    return parser


def write_text_model(folder: Path, width: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(code) for code in range(33, 127)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": width, "intermediate_size": width, "projection_dim": width, "num_hidden_layers": 1}
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    config = CLIPTextConfig(vocab_size=len(words), num_attention_heads=width // 8, **sizes, **ids)
    CLIPTextModelWithProjection(config).save_pretrained(folder)


def main(arguments: Any, config: DPIQAConfig | None = None) -> None:
    """Writes the folders; `config` is for parts of another size."""
    config = config or DPIQAConfig()
    set_seed(0)
    # In half of the bytes: what is made of them is float32 all the same.
    AutoencoderKL(**config.autoencoder_config).bfloat16().save_pretrained(arguments.output / "vae")
    UNet2DConditionModel(**config.unet_config).bfloat16().save_pretrained(arguments.output / "unet")
    write_text_model(arguments.output / "clip", config.unet_config["cross_attention_dim"])


if __name__ == "__main__":
    main(make_parser().parse_args())
