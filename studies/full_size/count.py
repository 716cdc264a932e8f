"""Counts what the full-size teacher is made of, computes and occupies, and what a training run costs, without weights.

    python studies/full_size/count.py
    python studies/full_size/count.py --utilisation 0.4 --photos 10000 --validation 1000 --test 0 --epochs 15

All tensors are on the meta device: they have shapes and no values. Multiply-adds are those of matrix products,
convolutions and attention, as PyTorch's `FlopCounterMode` counts them (half of its FLOP). `--keys` compares names and
shapes with those of the published checkpoint, in a JSON file of name: shape.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from dpiqa import DPIQAConfig, DPIQAModel
from dpiqa.hub.convert import convert_teacher_state_dict
from dpiqa.training.lora import add_lora
from dpiqa.training.run import CALIBRATION_PHOTOS
from dpiqa.training.script_parser import ScriptParser

# Of the published code (DP-IQA, arXiv 2405.19996v5, and its repository): parameters, and multiply-adds of one image of
# 512x512, in units of 1e9. Its figure for the autoencoder is without attention and that for the UNet has both.
PUBLISHED_PARAMETERS = {
    "autoencoder": 83_653_863,
    "unet": 859_520_964,
    "text_adapter": 1_181_184 + 768,
    "image_adapter": 77_369_280,
    "decoder": 42_948_033,
}
PUBLISHED_GMACS = {"autoencoder": 541, "unet": 478, "image_adapter": 30, "decoder": 105}
# Dense bfloat16 peaks in FLOP/s, from NVIDIA's data sheets (SXM). TF32, in which PyTorch convolves float32, has half.
GPUS = {"A100": 312e12, "H100": 989e12}
GIGA = 1e9


def make_parser() -> ScriptParser:
    parser = ScriptParser(description=__doc__.splitlines()[0])
    parser.add_argument("--utilisation", type=float, default=0.35, help="share of the GPU's peak that is reached")
    parser.add_argument(
        "--photos", type=int, default=7058, help="to train on; KonIQ-10k's training split if not given"
    )
    parser.add_argument("--validation", type=int, default=1000, help="photos; one half of them chooses the epoch")
    parser.add_argument("--test", type=int, default=2015, help="photos")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--lora-rank", type=int, default=16)
    parser.add_argument("--keys", type=Path, help="JSON file with names and shapes of the published checkpoint")
    return parser


def on_meta(config: DPIQAConfig) -> DPIQAModel:
    with torch.device("meta"):
        return DPIQAModel(config)


def parameters(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors)


def macs(call: Callable[[], Any]) -> int:
    """Multiply-adds of a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() // 2


class Parts:
    """The parts of a teacher, each to be called on what it is given for one photo.

    Attributes:
        calls: By the part's name; the inputs of trained parts require gradients where those of the teacher do.
        published_decoder: The decoder on maps that were resized before, as the published code computes it.
    """

    def __init__(self, model: DPIQAModel):
        config = model.config
        with torch.device("meta"):
            self.pixels = torch.zeros(1, 3, config.image_size, config.image_size)
            self.labels = torch.zeros(1)
        with torch.no_grad():
            self.latents = model.encode(self.pixels)
            context = model.text_adapter()[None]
            maps = list(model.image_adapter(self.pixels))
            features = list(model(self.pixels, latents=self.latents, output_hidden_states=True).hidden_states[::-1])
        for tensor in (context, *maps, *features):
            tensor.requires_grad_()
        size = (config.feature_size, config.feature_size)
        self.calls: dict[str, Callable[[], Any]] = {
            "autoencoder": lambda: model.encode(self.pixels),
            "text_adapter": lambda: model.text_adapter(),
            "image_adapter": lambda: model.image_adapter(self.pixels),
            "unet": lambda: model.unet(
                self.latents,
                config.timestep,
                encoder_hidden_states=context,
                down_intrablock_additional_residuals=list(maps),
                return_dict=False,
            ),
            "decoder": lambda: model.decoder(features),
        }
        self.published_decoder = lambda: model.decoder([F.interpolate(feature, size) for feature in features])

    def forward(self) -> dict[str, int]:
        """Multiply-adds of every part, for a score."""
        with torch.no_grad():
            return {name: macs(call) for name, call in self.calls.items()}

    def training(self) -> dict[str, int]:
        """Multiply-adds of every trained part, forward and backward."""
        trained = {name: call for name, call in self.calls.items() if name != "autoencoder"}
        return {name: macs(lambda call=call: _backward(call())) for name, call in trained.items()}

    def step(self, model: Any) -> int:
        """Multiply-adds of a training step on one photo whose latents are known."""
        return macs(lambda: model(pixel_values=self.pixels, labels=self.labels, latents=self.latents).loss.backward())


def _backward(output: Any) -> None:
    # The decoder's second output, the feature map, is not part of a loss.
    tensors = output if isinstance(output, list) else [output[0] if isinstance(output, tuple) else output]
    sum(tensor.sum() for tensor in tensors).backward()


class Way(NamedTuple):
    """A way to train: what it computes for a photo, and what it keeps.

    Attributes:
        step: Multiply-adds of a training step on one photo, without the autoencoder.
        weights: Parameters in all.
        trained: Parameters that are trained.
    """

    step: int
    weights: int
    trained: int

    @classmethod
    def of(cls, model: Any, parts: Parts) -> Way:
        trained = parameters(p for p in model.parameters() if p.requires_grad)
        return cls(parts.step(model), parameters([*model.parameters(), *model.buffers()]), trained)


def ways(model: DPIQAModel, parts: Parts, lora_rank: int) -> dict[str, Way]:
    """Ways to train; low-rank updates stay in the model."""
    found = {}
    model.train()
    for name in ("everything", f"LoRA, rank {lora_rank}"):
        trained: Any = model if name == "everything" else add_lora(model, rank=lora_rank)
        found[name] = Way.of(trained, parts)
        model.activation_checkpointing_enable()
        found[f"{name}, activation checkpointing"] = Way.of(trained, parts)
        model.activation_checkpointing_disable()
    return found


def run_flop(step: int, forward: dict[str, int], arguments: Any, *, latents_kept: bool) -> float:
    """FLOP of a run of `dpiqa train teacher`, in terms of bfloat16: what is float32 counts twice."""
    encoder = forward["autoencoder"]
    score = sum(forward.values())
    selection = arguments.validation // 2
    steps = arguments.epochs * (arguments.photos * step + selection * (score - encoder))
    encoded = 2 * encoder * (arguments.photos + selection)
    if not latents_kept:
        encoded = encoder * arguments.epochs * (arguments.photos + selection)
    # Percentiles, interval and figures come from scores of these.
    scored = min(arguments.photos, CALIBRATION_PHOTOS) + arguments.validation - selection + arguments.test
    return 2 * (steps + encoded + scored * score)


def table(header: list[str], rows: Iterable[Iterable[Any]]) -> None:
    lines = [header, ["---"] * len(header), *rows]
    print("\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines), end="\n\n")


def print_parameters(model: DPIQAModel) -> None:
    complete = {"unet": UNet2DConditionModel(**model.config.unet_config)}
    if model.config.autoencoder_type == "AutoencoderKL":
        complete["autoencoder"] = AutoencoderKL(**model.config.autoencoder_config)
    ours = {name: parameters(part.parameters()) for name, part in model.named_children()}
    whole = {name: parameters(complete.get(name, getattr(model, name)).parameters()) for name in ours}
    rows = [(name, ours[name], whole[name], PUBLISHED_PARAMETERS[name]) for name in PUBLISHED_PARAMETERS]
    sums = [sum(row[column] for row in rows) for column in (1, 2, 3)]
    table(
        ["parameters", "dpiqa", "with what a score does not need", "published code"],
        ([name, *(f"{count:,}" for count in counts)] for name, *counts in [*rows, ("together", *sums)]),
    )


def print_keys(model: DPIQAModel, path: Path) -> None:
    shapes = json.loads(path.read_text(encoding="utf-8"))
    published = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    converted = convert_teacher_state_dict(published, model)
    print(
        f"All {len(converted)} tensors of the teacher are among the {len(shapes)} of {path.name}, in their shapes.\n"
    )


def print_macs(forward: dict[str, int], training: dict[str, int], published_decoder: int) -> None:
    published = forward | {"decoder": published_decoder}
    rows = [
        (name, forward[name], published[name], PUBLISHED_GMACS.get(name, "-"), training.get(name, 0))
        for name in forward
    ]
    sums = [sum(counts.values()) for counts in (forward, published)]
    rows.append(("together", *sums, sum(PUBLISHED_GMACS.values()), sum(training.values())))
    table(
        ["1e9 multiply-adds, one photo", "a score", "as published", "METHOD", "a training step"],
        ([n, f"{a / GIGA:.1f}", f"{b / GIGA:.1f}", c, f"{d / GIGA:.1f}"] for n, a, b, c, d in rows),
    )


def print_costs(found: dict[str, Way], forward: dict[str, int], arguments: Any) -> None:
    rows = []
    for name, way in found.items():
        for kept in (True, False) if name == "everything" else (True,):
            flop = run_flop(way.step, forward, arguments, latents_kept=kept)
            hours = [f"{flop / (peak * arguments.utilisation) / 3600:.2f}" for peak in GPUS.values()]
            latents = "latents kept" if kept else "the autoencoder in every step"
            rows.append([f"{name}, {latents}", f"{way.step / GIGA:.0f}", f"{flop / 1e15:.0f}", *hours])
    at = f"at {100 * arguments.utilisation:.0f} % of its peak"
    table(["a run", "1e9 multiply-adds a step", "PFLOP", *(f"hours of one {gpu} {at}" for gpu in GPUS)], rows)


def print_memory(found: dict[str, Way]) -> None:
    rows = []
    for name, way in found.items():
        if "checkpointing" in name:  # changes none of these
            continue
        for weights, size in (("float32", 4), ("bfloat16", 2)):
            # Weight copies of autocast live as long as a forward pass, and only of what is trained.
            copies = 2 * way.trained if weights == "float32" else 0
            counts = [size * way.weights, size * way.trained, 2 * size * way.trained, copies]
            gigabytes = [f"{count / GIGA:.2f}" for count in (*counts, sum(counts))]
            rows.append([f"{name}, {weights}", f"{way.trained:,}", *gigabytes])
    table(["GB", "trained", "weights", "gradients", "Adam", "autocast's copies", "together"], rows)


def main(arguments: Any, config: DPIQAConfig | None = None) -> tuple[dict[str, int], dict[str, Way]]:
    """Prints the tables; `config` is for teachers of another size.

    Returns:
        Multiply-adds of the trained parts in a training step, and the ways to train.
    """
    model = on_meta(config or DPIQAConfig())
    with torch.device("meta"):
        print_parameters(model)
    if arguments.keys:
        print_keys(model, arguments.keys)
    parts = Parts(model.eval())
    forward, training = parts.forward(), parts.training()
    with torch.no_grad():
        print_macs(forward, training, macs(parts.published_decoder))
    found = ways(model, parts, arguments.lora_rank)
    print_costs(found, forward, arguments)
    print_memory(found)
    return training, found


if __name__ == "__main__":
    main(make_parser().parse_args())
