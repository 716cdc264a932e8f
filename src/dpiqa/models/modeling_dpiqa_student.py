"""The student: a small CNN that gives a photo a quality score.

DP-IQA (arXiv 2405.19996), section 3.4, and the two heads of [`DPIQAStudentConfig`].
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import EfficientNetModel
from transformers import initialization as init
from transformers.models.efficientnet.modeling_efficientnet import EfficientNetEmbeddings, EfficientNetEncoder

from .autocast import without_autocast
from .configuration_dpiqa import DPIQAStudentConfig
from .output_dpiqa import DPIQAOutput
from .pretrained_dpiqa import DPIQAPreTrainedModel


class DPIQAStudentBackbone(nn.Module):
    """EfficientNet or EfficientNet-Lite features on transformers' blocks, safe to fine-tune."""

    def __init__(self, config: DPIQAStudentConfig):
        super().__init__()
        efficientnet: Any = config.efficientnet_config  # a configuration by now, whatever it was given as
        self.num_features: int = efficientnet.hidden_dim
        self.embeddings = EfficientNetEmbeddings(efficientnet)
        self.encoder = EfficientNetEncoder(efficientnet)
        self.gradient_checkpointing = False
        if config.padding == "symmetric":
            self.embeddings.padding = nn.ZeroPad2d(1)
        for block in self.encoder.blocks:
            after = block.depthwise_conv.depthwise_conv.kernel_size[0] // 2
            before = after if config.padding == "symmetric" else after - 1
            block.depthwise_conv.depthwise_conv_pad = nn.ZeroPad2d((before, after, before, after))
            block.projection.dropout = nn.Identity()
            if not config.squeeze_excite:
                block.squeeze_excite = nn.Identity()
        # EfficientNet-Lite2 is 1.1 times as wide everywhere but here, where the class would scale as well.
        if self.encoder.top_conv.out_channels != self.num_features:
            self.encoder.top_conv = nn.Conv2d(
                self.encoder.top_conv.in_channels, self.num_features, kernel_size=1, bias=False
            )
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = config.batch_norm_momentum

    def forward(
        self, pixel_values: torch.Tensor, output_hidden_states: bool = False
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...] | None]:
        """(batch, 3, height, width) -> features (batch, hidden_dim, height / 32, width / 32), hidden states."""
        hidden = self.embeddings(pixel_values)
        hidden_states = [hidden]
        for block in self.encoder.blocks:
            if self.gradient_checkpointing and self.training:
                hidden = self._gradient_checkpointing_func(block.__call__, hidden)
            else:
                hidden = block(hidden)
            if output_hidden_states:
                hidden_states.append(hidden)
        features = self.encoder.top_activation(self.encoder.top_bn(self.encoder.top_conv(hidden)))
        return features, tuple(hidden_states) if output_hidden_states else None


class SpatialHead(nn.Module):
    """The published head: features -> feature map -> flatten -> MLP -> score."""

    def __init__(self, num_features: int, config: DPIQAStudentConfig):
        super().__init__()
        self.feature_size = config.feature_size
        self.conv_transpose = nn.ConvTranspose2d(
            num_features,
            config.feature_channels,
            kernel_size=3,
            stride=2,
            padding=1,
            output_padding=1,
        )
        self.fc1 = nn.Linear(config.feature_channels * config.feature_size**2, config.hidden_size)
        self.fc2 = nn.Linear(config.hidden_size, config.hidden_size)
        self.fc3 = nn.Linear(config.hidden_size, 1)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        feature_map = F.interpolate(F.relu(self.conv_transpose(features)), size=self.feature_size, mode="nearest")
        with without_autocast(features.device.type):
            hidden = F.relu(self.fc1(feature_map.flatten(1).to(self.fc1.weight.dtype)))
            score = self.fc3(F.relu(self.fc2(hidden)))
        return score.squeeze(1).float(), feature_map, None


class LocalReadout(nn.Conv2d):
    """One number per position, near 0 at initialisation."""

    def __init__(self, in_channels: int):
        super().__init__(in_channels, 1, kernel_size=1)


class PooledHead(nn.Module):
    """Local qualities, which are the quality map, and their weights; the score is the weighted mean."""

    def __init__(self, num_features: int, config: DPIQAStudentConfig):
        super().__init__()
        self.feature_size = config.feature_size
        self.hidden = nn.Conv2d(num_features, config.hidden_size, kernel_size=1)
        self.dropout = nn.Dropout(config.dropout)
        self.feature_map = nn.Conv2d(config.hidden_size, config.feature_channels, kernel_size=1)
        self.quality = LocalReadout(config.hidden_size)
        self.weight = LocalReadout(config.hidden_size)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        hidden = self.dropout(F.relu(self.hidden(features)))
        feature_map = F.interpolate(
            F.relu(self.feature_map(hidden)), size=self.feature_size, mode="bilinear", align_corners=False
        )
        # In float32 whatever the weights are in: a score is an average over positions.
        with without_autocast(features.device.type):
            hidden = hidden.to(self.quality.weight.dtype)
            quality_map = self.quality(hidden).squeeze(1).float()
            weight = self.weight(hidden).squeeze(1).float().flatten(1).softmax(dim=1)
        score = (quality_map.flatten(1) * weight).sum(dim=1)
        return score, feature_map, quality_map


class DPIQAStudent(DPIQAPreTrainedModel):
    """Blind image quality assessment with one small CNN.

    In `eval()` mode a score is deterministic and does not depend on the other photos of the batch.

    Example:
        >>> model = DPIQAStudent.from_pretrained(dpiqa.bundled_checkpoint())
        >>> processor = DPIQAImageProcessor.from_pretrained(dpiqa.bundled_checkpoint())
        >>> model(**processor(image, return_tensors="pt")).score
    """

    config_class = DPIQAStudentConfig
    base_model_prefix = "student"
    _no_split_modules = ["EfficientNetBlock"]

    def __init__(self, config: DPIQAStudentConfig):
        super().__init__(config)
        self.backbone = DPIQAStudentBackbone(config)
        head = SpatialHead if config.head == "spatial" else PooledHead
        self.head = head(self.backbone.num_features, config)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # transformers draws EfficientNet's weights, batch normalisation included, from N(0, 0.02): outputs are then 0
        # and such a network does not train.
        if isinstance(module, LocalReadout):
            init.normal_(module.weight, std=0.02)
        elif isinstance(module, nn.ConvTranspose2d):
            # Inputs per output; PyTorch counts outputs per input, with which the feature map starts far too large and,
            # pulled to the teacher's, dies behind its ReLU.
            inputs = module.in_channels * module.kernel_size[0] ** 2 / module.stride[0] ** 2
            init.normal_(module.weight, std=(2 / inputs) ** 0.5)
        elif isinstance(module, nn.Conv2d):
            # Fan-out as torchvision has it, but not for depthwise layers, whose fan-out PyTorch counts as if every
            # channel saw every other, nor for the layers with a bias (squeeze-and-excitation and heads).
            mode = "fan_in" if module.groups > 1 or module.bias is not None else "fan_out"
            init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            init.kaiming_uniform_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            init.ones_(module.weight)
            init.zeros_(module.running_mean)
            init.ones_(module.running_var)
            init.zeros_(module.num_batches_tracked)
        if getattr(module, "bias", None) is not None:
            init.zeros_(module.bias)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Loads a student, see [`DPIQAPreTrainedModel.from_pretrained`], in float32 unless `dtype` says otherwise.

        Checkpoints may keep their weights in float16, which is half as large; float32 is what scores are computed in.
        `dtype="auto"` takes the type of the file.
        """
        if "torch_dtype" not in kwargs:
            kwargs.setdefault("dtype", torch.float32)
        return super().from_pretrained(*args, **kwargs)

    @classmethod
    def from_efficientnet(cls, efficientnet: str | os.PathLike[str], **kwargs: Any) -> DPIQAStudent:
        """Makes an untrained student on the weights of transformers' EfficientNet, such as those of ImageNet.

        The head starts from random weights: the student has to be trained before its scores mean something. Its
        processor is [`dpiqa.DPIQAImageProcessor.from_efficientnet`].

        Args:
            efficientnet: Folder or Hub id, such as "google/efficientnet-b7".
            **kwargs: Fields of [`DPIQAStudentConfig`].

        Returns:
            The student, float32, on the CPU.

        Raises:
            OSError: When there is no such checkpoint.
            huggingface_hub.errors.StrictDataclassError: When a field is not as the configuration says.
        """
        source = EfficientNetModel.from_pretrained(efficientnet, dtype=torch.float32)
        # It pads as TensorFlow does, where its weights come from.
        config = DPIQAStudentConfig(efficientnet_config=source.config.to_dict(), **({"padding": "same"} | kwargs))
        student = cls(config)
        weights = source.state_dict()
        student.backbone.load_state_dict({name: weights[name] for name in student.backbone.state_dict()})
        return student.eval()

    def freeze_early_layers(self, blocks: int) -> None:
        """Keeps the stem, the first blocks and every depthwise filter as they are in training.

        They are generic, and the gradient of depthwise filters is the slowest part of a step on a CPU.

        Args:
            blocks: How many, of the backbone's.
        """
        encoder = self.backbone.encoder
        frozen = [self.backbone.embeddings, *encoder.blocks[:blocks]]
        frozen += [block.depthwise_conv.depthwise_conv for block in encoder.blocks]
        for module in frozen:
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> DPIQAStudent:
        super().train(mode)
        if self.config.freeze_batch_norm:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(
        self,
        pixel_values: torch.Tensor,
        labels: torch.Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> DPIQAOutput | tuple[torch.Tensor, ...]:
        """Scores a batch.

        Args:
            pixel_values: (batch, 3, height, width), prepared by the checkpoint's [`DPIQAImageProcessor`].
            labels: (batch,), MOS normalised to [0, 1]; adds the mean squared error as `loss`.
            output_hidden_states: Whether to return the output of the stem and of every block.
            return_dict: Whether to return a [`DPIQAOutput`] (default) or a tuple of its entries.

        Raises:
            ValueError: When the shape is not (batch, 3, height, width), a side is under 32 pixels, or the spatial
                head gets another size than `image_size`.
        """
        if pixel_values.ndim != 4 or pixel_values.shape[1] != 3:
            raise ValueError(
                f"Expected pixel_values of shape (batch, 3, height, width), got {tuple(pixel_values.shape)}."
            )
        self.config.check_size(*pixel_values.shape[2:])
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        # In the type of the weights, as the processor's pixels are float32 and a checkpoint need not be.
        pixel_values = pixel_values.to(self.backbone.embeddings.convolution.weight.dtype)
        features, hidden_states = self.backbone(pixel_values, output_hidden_states)
        score, feature_map, quality_map = self.head(features)
        loss = None if labels is None else F.mse_loss(score.float(), labels.float())
        output = DPIQAOutput(loss, score, feature_map, quality_map, hidden_states)
        return_dict = self.config.return_dict if return_dict is None else return_dict
        return output if return_dict else output.to_tuple()


__all__ = ["DPIQAStudent"]
