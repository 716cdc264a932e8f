"""Configurations of the dpiqa models."""

# No postponed annotations here: @strict would not see the types that it checks.
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import EfficientNetConfig, PreTrainedConfig

# Width, depth and the input size of each EfficientNet, as in its reference implementation (Tan and Le 2019).
_EFFICIENTNET = {
    "efficientnet-b0": (1.0, 1.0, 224),
    "efficientnet-b1": (1.0, 1.1, 240),
    "efficientnet-b2": (1.1, 1.2, 260),
    "efficientnet-b3": (1.2, 1.4, 300),
    "efficientnet-b4": (1.4, 1.8, 380),
    "efficientnet-b5": (1.6, 2.2, 456),
    "efficientnet-b6": (1.8, 2.6, 528),
    "efficientnet-b7": (2.0, 3.1, 600),
}
# EfficientNet-Lite neither scales its last convolution nor repeats its first and last stage more often.
_EFFICIENTNET_LITE = {
    "efficientnet-lite0": (1.0, (1, 2, 2, 3, 3, 4, 1), 224),
    "efficientnet-lite1": (1.0, (1, 3, 3, 4, 4, 5, 1), 240),
    "efficientnet-lite2": (1.1, (1, 3, 3, 4, 4, 5, 1), 260),
}
BACKBONES = (*_EFFICIENTNET, *_EFFICIENTNET_LITE)


@strict
class DPIQAStudentConfig(PreTrainedConfig):
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
            Calibration: split-conformal quantile of |score - MOS| on validation photos; `score` plus or minus this
            covers `interval_coverage` of MOS values of photos from the same source.
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
    hidden_size: int = 512
    dropout: float | int = 0.0
    image_size: int = 512
    feature_channels: int = 8
    feature_size: int = 64
    score_range: tuple[float | int, float | int] | list[float | int] = (0.0, 1.0)
    score_quantiles: list[float] | None = None
    interval_half_width: float | int | None = None
    interval_coverage: float | int = 0.9

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
        if len(self.score_range) != 2 or not self.score_range[0] < self.score_range[1]:
            raise ValueError(f"score_range must be (lowest MOS, highest MOS), got {self.score_range!r}.")
        if self.score_quantiles is not None and (
            len(self.score_quantiles) < 2 or sorted(self.score_quantiles) != list(self.score_quantiles)
        ):
            raise ValueError("score_quantiles must be at least two ascending scores.")
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


def _efficientnet_config(name: str) -> EfficientNetConfig:
    if name in _EFFICIENTNET:
        width, depth, image_size = _EFFICIENTNET[name]
        return EfficientNetConfig(
            width_coefficient=width,
            depth_coefficient=depth,
            image_size=image_size,
            hidden_dim=round(1280 * width / 8) * 8,
        )
    width, repeats, image_size = _EFFICIENTNET_LITE[name]
    return EfficientNetConfig(
        width_coefficient=width,
        depth_coefficient=1.0,
        num_block_repeats=repeats,
        image_size=image_size,
        hidden_dim=1280,
        hidden_act="relu6",
    )


__all__ = ["DPIQAStudentConfig"]
