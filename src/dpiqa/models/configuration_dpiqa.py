"""Configurations of the dpiqa models."""

# No postponed annotations here: @strict would not see the types that it checks.
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import EfficientNetConfig, PreTrainedConfig
from transformers.utils import TRANSFORMERS_DYNAMIC_MODULE_NAME

# Width and depth of each EfficientNet, as in its reference implementation (Tan and Le 2019).
_EFFICIENTNET = {
    "efficientnet-b0": (1.0, 1.0),
    "efficientnet-b1": (1.0, 1.1),
    "efficientnet-b2": (1.1, 1.2),
    "efficientnet-b3": (1.2, 1.4),
    "efficientnet-b4": (1.4, 1.8),
    "efficientnet-b5": (1.6, 2.2),
    "efficientnet-b6": (1.8, 2.6),
    "efficientnet-b7": (2.0, 3.1),
}
# EfficientNet-Lite neither scales its last convolution nor repeats its first and last stage more often.
_EFFICIENTNET_LITE = {
    "efficientnet-lite0": (1.0, (1, 2, 2, 3, 3, 4, 1)),
    "efficientnet-lite1": (1.0, (1, 3, 3, 4, 4, 5, 1)),
    "efficientnet-lite2": (1.1, (1, 3, 3, 4, 4, 5, 1)),
}
BACKBONES = (*_EFFICIENTNET, *_EFFICIENTNET_LITE)
# Pixels per position of their features along a side.
BACKBONE_STRIDE = 32


@strict
class _QualityConfig(PreTrainedConfig):
    """What the configurations of teacher and student share: the head's sizes and the meaning of the score."""

    hidden_size: int = 512
    image_size: int = 512
    feature_channels: int = 8
    feature_size: int = 64
    score_range: tuple[float | int, float | int] | list[float | int] = (0.0, 1.0)
    score_quantiles: list[float] | None = None
    interval_half_width: float | int | None = None
    interval_coverage: float | int = 0.9

    def __post_init__(self, **kwargs: Any) -> None:
        # Where a configuration names a pipeline, transformers runs the code beside the checkpoint, and asks for leave
        # to do so, even when it knows that pipeline: from here it does. The exported copy of this file keeps the name.
        if not __name__.startswith(f"{TRANSFORMERS_DYNAMIC_MODULE_NAME}."):
            kwargs.pop("custom_pipelines", None)
        super().__post_init__(**kwargs)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Makes a configuration of what a `config.json` holds.

        Raises:
            ValueError: When it is not what this configuration can hold, or that of another kind of model.
        """
        kind = config_dict.get("model_type", cls.model_type)
        if kind != cls.model_type:
            raise ValueError(f"This config.json is that of model_type {kind!r}: expected {cls.model_type!r}.")
        try:
            return super().from_dict(config_dict, **kwargs)
        except Exception as error:  # on odd values configurations raise nearly anything
            raise ValueError(
                f"This config.json is not that of a {cls.__name__}: {error.__cause__ or error}"
            ) from error

    def validate_shared_values(self) -> None:
        """Checks what the types do not say; called by `@strict`."""
        sizes = ("hidden_size", "image_size", "feature_channels", "feature_size")
        if any(getattr(self, size) < 1 for size in sizes):
            raise ValueError(f"{', '.join(sizes)} must be at least 1, got {[getattr(self, size) for size in sizes]}.")
        if len(self.score_range) != 2 or not self.score_range[0] < self.score_range[1]:
            raise ValueError(f"score_range must be (lowest MOS, highest MOS), got {self.score_range!r}.")
        if self.score_quantiles is not None and (
            len(self.score_quantiles) < 2 or sorted(self.score_quantiles) != list(self.score_quantiles)
        ):
            raise ValueError("score_quantiles must be at least two ascending scores.")


@strict
class DPIQAStudentConfig(_QualityConfig):
    """Configuration of a [`DPIQAStudent`]: a convolutional backbone and the head that reads a score from it.

    Without arguments this is the published student: EfficientNet-B7 with the spatial head at 512x512 (DP-IQA,
    arXiv 2405.19996, section 3.4). [`DPIQAStudentConfig.from_backbone`] makes the others.

    Args:
        efficientnet_config ([`~transformers.EfficientNetConfig`] or `dict`, *optional*):
            Widths, depths and activation of the backbone. Three of its fields are not used:
            `batch_norm_momentum` (see below), `drop_connect_rate` (transformers drops single elements where
            stochastic depth drops whole residual branches; the student has neither) and `depthwise_padding` (follows
            from `padding`).
        squeeze_excite (`bool`, defaults to `True`):
            Whether the blocks have squeeze-and-excitation; EfficientNet-Lite has none.
        padding (`"symmetric"` or `"same"`, defaults to `"symmetric"`):
            How strided convolutions pad: "symmetric" as torchvision's EfficientNet does (published student), "same"
            as TensorFlow does (the released EfficientNet-Lite weights).
        batch_norm_momentum (`float`, defaults to 0.01):
            Share of the new batch in the running statistics (PyTorch's convention; transformers' EfficientNet
            takes TensorFlow's number, 0.99, in this place, which makes fine-tuning forget the statistics).
        freeze_batch_norm (`bool`, defaults to `False`):
            Whether batch normalisation keeps its running statistics in `train()` mode, which is what fine-tuning
            with small batches wants.
        head (`"spatial"` or `"pooled"`, defaults to `"spatial"`):
            "spatial": transposed convolution to the feature map, flatten, MLP (published; one input size).
            "pooled": the score is a weighted mean of local qualities (any input size; has a quality map).
        hidden_size (`int`, defaults to 512):
            Width of the head's hidden layers.
        dropout (`float`, defaults to 0.0):
            Dropout in the pooled head, in [0, 1).
        image_size (`int`, defaults to 512):
            Side in pixels of the square input the checkpoint was made for; the spatial head takes no other.
        feature_channels (`int`, defaults to 8):
            Channels of the feature map.
        feature_size (`int`, defaults to 64):
            Side of the feature map that distillation compares.
        score_range (`tuple[float, float]`, defaults to `(0.0, 1.0)`):
            MOS range of the training data that scores 0 and 1 stand for.
        score_quantiles (`list[float]`, *optional*):
            Calibration: ascending, evenly spaced quantiles (0 % .. 100 %) of the scores of the training photos.
        interval_half_width (`float`, *optional*):
            Calibration: `score` plus or minus this covers `interval_coverage` of MOS values, of photos like those that
            it was fitted on. Training fits it on validation photos, as a split-conformal quantile of |score - MOS|;
            that of the student inside the package was fitted on sources that were left out of training.
        interval_coverage (`float`, defaults to 0.9):
            Nominal coverage of that interval.

    Raises:
        huggingface_hub.errors.StrictDataclassError: When a type or value is not as said above, or the spatial head
            cannot have this `image_size` and `feature_size`.
    """

    model_type = "dpiqa-student"
    sub_configs = {"efficientnet_config": EfficientNetConfig}

    efficientnet_config: EfficientNetConfig | dict[str, Any] | None = None
    squeeze_excite: bool = True
    padding: Literal["symmetric", "same"] = "symmetric"
    batch_norm_momentum: float | int = 0.01
    freeze_batch_norm: bool = False
    head: Literal["spatial", "pooled"] = "spatial"
    dropout: float | int = 0.0

    def __post_init__(self, **kwargs: Any) -> None:
        if self.efficientnet_config is None:
            self.efficientnet_config = _efficientnet_config("efficientnet-b7")
        elif isinstance(self.efficientnet_config, dict):
            self.efficientnet_config = EfficientNetConfig(**self.efficientnet_config)
        super().__post_init__(**kwargs)

    def validate_values(self) -> None:
        """Checks what the types do not say; called by `@strict`."""
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}.")
        # The transposed convolution doubles image_size / 32, a nearest-neighbour resize the rest.
        if self.head == "spatial" and (self.image_size % 32 or self.feature_size % (self.image_size // 16)):
            raise ValueError(
                f"The spatial head needs an image_size that is a multiple of 32 and a feature_size that is a multiple "
                f"of image_size / 16, got image_size={self.image_size} and feature_size={self.feature_size}."
            )

    @classmethod
    def from_backbone(cls, name: str, **kwargs: Any) -> "DPIQAStudentConfig":
        """Makes the configuration of a student on a named backbone.

        Args:
            name: "efficientnet-b0" .. "efficientnet-b7" or "efficientnet-lite0" .. "efficientnet-lite2".
            **kwargs: Fields of the configuration; these win over what the backbone implies.

        Returns:
            The configuration, with the pooled head unless `head` says otherwise.

        Raises:
            ValueError: When no backbone has this name.
        """
        if name not in BACKBONES:
            raise ValueError(f"Unknown backbone {name!r}: expected one of {', '.join(BACKBONES)}.")
        lite = name in _EFFICIENTNET_LITE
        defaults: dict[str, Any] = {
            "efficientnet_config": _efficientnet_config(name),
            "squeeze_excite": not lite,
            "padding": "same" if lite else "symmetric",
            "head": "pooled",
            "hidden_size": 512 if kwargs.get("head") == "spatial" else 256,
        }
        return cls(**(defaults | kwargs))

    def check_size(self, height: int, width: int) -> None:
        """Checks the sides of an input, in pixels.

        Raises:
            ValueError: When one is under 32, or the spatial head has another `image_size`.
        """
        if height < BACKBONE_STRIDE or width < BACKBONE_STRIDE:
            raise ValueError(f"The student takes sides of at least {BACKBONE_STRIDE} pixels, got {height}x{width}.")
        if self.head == "spatial" and (height, width) != (self.image_size, self.image_size):
            raise ValueError(
                f"The spatial head takes {self.image_size}x{self.image_size} pixels only, got {height}x{width}. "
                "Resize with the checkpoint's DPIQAImageProcessor, or use the pooled head for other sizes."
            )


@strict
class DPIQAConfig(_QualityConfig):
    """Configuration of a [`DPIQAModel`], the teacher: the parts of a Stable Diffusion and what reads them.

    Without arguments this is the published teacher on Stable Diffusion 1.5 (DP-IQA, arXiv 2405.19996, section 3).
    [`DPIQAModel.from_stable_diffusion`] makes the others from the files of any checkpoint in diffusers' format.

    Args:
        autoencoder_type (`"AutoencoderKL"` or `"AutoencoderTiny"`, defaults to `"AutoencoderKL"`):
            diffusers class of the autoencoder, of which only the encoder is kept.
        autoencoder_config (`dict`, *optional*):
            Its configuration; that of Stable Diffusion 1.5 when not given.
        unet_config (`dict`, *optional*):
            Configuration of the `UNet2DConditionModel`; that of Stable Diffusion 1.5 when not given. Every down block
            but the last must have cross-attention, so that the image adapter's maps fit inside the blocks.
        image_adapter_config (`dict`, *optional*):
            Configuration of the `T2IAdapter` (kind "full_adapter"); follows from the other two when not given.
        timestep (`int`, defaults to 1):
            Diffusion step that the UNet is told; no noise is added.
        num_prompts (`int`, defaults to 1485):
            Rows of the prompt embeddings, the sequence that cross-attention reads.
        prompt_grid (`dict`, *optional*):
            Fields of the [`~dpiqa.models.prompts.PromptGrid`] behind the prompt embeddings, for the record.
        text_features (`"projected"`, `"pooled"` or `"tokens"`, defaults to `"projected"`):
            What of the text model's output became prompt embeddings; see [`dpiqa.models.prompts.encode_prompts`].
        pixel_range (`"unit"` or `"symmetric"`, defaults to `"unit"`):
            Range in which the autoencoder is given the pixels: [0, 1] as the published code does it, or [-1, 1] as the
            autoencoder was trained. `pixel_values` are in [0, 1] in both cases, and so is what the image adapter sees.
        latent_sampling (`"mode"` or `"sample"`, defaults to `"mode"`):
            Whether training takes the mode of the latent distribution or, as the published code, a sample of it. In
            eval mode it is always the mode: a score is deterministic.
        decoder_channels (`int`, defaults to 512):
            Width of the quality feature decoder, at least 16.
        image_size (`int`, defaults to 512):
            Side in pixels of the input the checkpoint was made for. Others work where the autoencoder's factor (8 for
            Stable Diffusion) divides them.

    `hidden_size`, `feature_channels` and `feature_size` are the width of the decoder's two hidden layers and the
    channels and side of the feature map. What the score means is said as in [`DPIQAStudentConfig`]: `score_range`,
    `score_quantiles`, `interval_half_width`, `interval_coverage`.

    Raises:
        huggingface_hub.errors.StrictDataclassError: When a type or value is not as said above, or the parts do not
            fit together.
    """

    model_type = "dpiqa"

    autoencoder_type: Literal["AutoencoderKL", "AutoencoderTiny"] = "AutoencoderKL"
    autoencoder_config: dict[str, Any] | None = None
    unet_config: dict[str, Any] | None = None
    image_adapter_config: dict[str, Any] | None = None
    timestep: int = 1
    num_prompts: int = 1485
    prompt_grid: dict[str, Any] | None = None
    text_features: Literal["projected", "pooled", "tokens"] = "projected"
    pixel_range: Literal["unit", "symmetric"] = "unit"
    latent_sampling: Literal["mode", "sample"] = "mode"
    decoder_channels: int = 512

    def __post_init__(self, **kwargs: Any) -> None:
        if self.autoencoder_config is None:
            self.autoencoder_config = _sd_autoencoder_config() if self.autoencoder_type == "AutoencoderKL" else {}
        if self.unet_config is None:
            self.unet_config = _sd_unet_config()
        if self.image_adapter_config is None:
            self.image_adapter_config = {
                "channels": list(self.unet_config.get("block_out_channels", ())),
                "num_res_blocks": 2,
                "downscale_factor": self.latent_stride,
            }
        super().__post_init__(**kwargs)

    @classmethod
    def small(cls, **kwargs: Any) -> "DPIQAConfig":
        """Makes the configuration of a teacher that can be trained on a CPU, from random weights.

        Its autoencoder has the shape of TAESD, the tiny autoencoder for Stable Diffusion 1, and its UNet is narrow: 16
        million parameters in all. It serves studies, benchmarks and first steps, and has no diffusion prior.

        Args:
            **kwargs: Fields of the configuration; these win over the small ones.
        """
        unet = {
            "in_channels": 4,
            "out_channels": 4,
            "block_out_channels": [64, 128, 256],
            "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
            "layers_per_block": 1,
            "attention_head_dim": 4,
            "cross_attention_dim": 64,
            "norm_num_groups": 8,
        }
        defaults: dict[str, Any] = {
            "autoencoder_type": "AutoencoderTiny",
            "unet_config": unet,
            "num_prompts": 16,
            "pixel_range": "symmetric",
            "decoder_channels": 64,
            "hidden_size": 128,
            "feature_size": 16,
            "image_size": 128,
        }
        return cls(**(defaults | kwargs))

    @property
    def latent_stride(self) -> int:
        """Pixels per latent along a side: 8 for Stable Diffusion."""
        name, levels = ("block_out_channels", 1) if self.autoencoder_type == "AutoencoderKL" else _TINY_LEVELS
        # Both autoencoders halve between their levels.
        return 2 ** (len((self.autoencoder_config or {}).get(name, range(levels))) - 1)

    def check_size(self, height: int, width: int) -> None:
        """Checks the sides of an input, in pixels.

        Raises:
            ValueError: When one is not a multiple of `latent_stride`.
        """
        stride = self.latent_stride
        if height % stride or width % stride or 0 in (height, width):
            raise ValueError(
                f"The teacher takes sides that are multiples of {stride} pixels, got {height}x{width}. "
                "Resize with the checkpoint's DPIQAImageProcessor."
            )

    def validate_values(self) -> None:
        """Checks what the types do not say; called by `@strict`."""
        if self.num_prompts < 1 or self.timestep < 0 or self.decoder_channels < 16:
            raise ValueError(
                "Expected num_prompts >= 1, timestep >= 0 and decoder_channels >= 16, got "
                f"{self.num_prompts}, {self.timestep} and {self.decoder_channels}."
            )
        unet, adapter = self.unet_config or {}, self.image_adapter_config or {}
        channels = unet.get("block_out_channels")
        if not channels or not isinstance(unet.get("cross_attention_dim"), int):
            raise ValueError(
                "unet_config must have block_out_channels and one cross_attention_dim, as the unet/config.json of a "
                f"Stable Diffusion 1 or 2 has; got {channels!r} and {unet.get('cross_attention_dim')!r}."
            )
        if any(unet.get(name) for name in ("addition_embed_type", "class_embed_type", "encoder_hid_dim_type")):
            raise ValueError("UNets that take more than latents, timestep and text (Stable Diffusion XL) do not work.")
        _check_groups("unet_config", unet)
        if self.autoencoder_type == "AutoencoderKL":
            _check_groups("autoencoder_config", self.autoencoder_config or {})
        fits = list(adapter.get("channels", ())) == list(channels)
        if not fits or adapter.get("downscale_factor") != self.latent_stride:
            raise ValueError(
                f"The image adapter must have the UNet's channels {list(channels)} and the autoencoder's factor "
                f"{self.latent_stride} as downscale_factor, got {adapter}."
            )
        without_attention = [kind for kind in unet.get("down_block_types", ())[:-1] if "Attn" not in kind]
        if without_attention:
            raise ValueError(
                f"Only the UNet's last down block may be without cross-attention, got {without_attention[0]} before."
            )


# Where AutoencoderTiny's configuration has its levels, and how many it has without a word about them.
_TINY_LEVELS = ("encoder_block_out_channels", 4)


def _check_groups(part: str, config: dict[str, Any]) -> None:
    """Refuses a number of groups that group normalisation cannot cut the channels into; diffusers takes any."""
    groups, channels = config.get("norm_num_groups", 32), list(config.get("block_out_channels", ()))
    if type(groups) is not int or groups < 1 or any(width % groups for width in channels):
        raise ValueError(
            f"norm_num_groups in {part} must divide its block_out_channels {channels} (32 when not given), "
            f"got {groups!r}."
        )


def _sd_autoencoder_config() -> dict[str, Any]:
    return {
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "layers_per_block": 2,
        "latent_channels": 4,
        "scaling_factor": 0.18215,
    }


def _sd_unet_config() -> dict[str, Any]:
    return {
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": [320, 640, 1280, 1280],
        "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
        "layers_per_block": 2,
        "attention_head_dim": 8,
        "cross_attention_dim": 768,
    }


def _efficientnet_config(name: str) -> EfficientNetConfig:
    if name in _EFFICIENTNET:
        width, depth = _EFFICIENTNET[name]
        return EfficientNetConfig(
            width_coefficient=width,
            depth_coefficient=depth,
            hidden_dim=round(1280 * width / 8) * 8,
        )
    width, repeats = _EFFICIENTNET_LITE[name]
    return EfficientNetConfig(
        width_coefficient=width,
        depth_coefficient=1.0,
        num_block_repeats=repeats,
        hidden_dim=1280,
        hidden_act="relu6",
    )


__all__ = ["DPIQAConfig", "DPIQAStudentConfig"]
