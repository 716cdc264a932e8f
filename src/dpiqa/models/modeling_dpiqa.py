"""The teacher: a quality score read from the features of a pretrained Stable Diffusion.

DP-IQA (arXiv 2405.19996), section 3. The autoencoder, the UNet and the image adapter are diffusers' own modules.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init

from .configuration_dpiqa import DPIQAConfig
from .decoder_dpiqa import QualityFeatureDecoder
from .output_dpiqa import DPIQAOutput
from .pretrained_dpiqa import DPIQAPreTrainedModel
from .prompts import PromptGrid, check_prompts, encode_prompts, load_text_model

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel

_INITIAL_GAMMA = 1e-4


class TextAdapter(nn.Module):
    """Constant prompt embeddings E and what is learnt on top of them: E + gamma * MLP(E) (section 3.2)."""

    def __init__(self, num_prompts: int, prompt_size: int):
        super().__init__()
        self.register_buffer("prompt_embeddings", torch.empty(num_prompts, prompt_size))
        self.gamma = nn.Parameter(torch.empty(prompt_size))
        self.fc1 = nn.Linear(prompt_size, prompt_size)
        self.fc2 = nn.Linear(prompt_size, prompt_size)

    def forward(self) -> torch.Tensor:
        """The context of cross-attention: (num_prompts, prompt_size)."""
        return self.prompt_embeddings + self.gamma * self.fc2(F.gelu(self.fc1(self.prompt_embeddings)))

    def check_embeddings(self, prompt_embeddings: torch.Tensor) -> None:
        """Checks what is to take the place of the prompt embeddings.

        Raises:
            ValueError: When the shape is another or a value is not finite.
        """
        expected, found = tuple(self.prompt_embeddings.shape), tuple(prompt_embeddings.shape)
        if found != expected:
            raise ValueError(
                f"Expected prompt embeddings of shape (num_prompts, cross_attention_dim) = {expected}, got {found}. "
                "Stable Diffusion 1 takes the text features of a CLIP ViT-L/14 (768 wide), Stable Diffusion 2 those "
                "of an OpenCLIP ViT-H/14 (1024 wide)."
            )
        not_finite = int((~prompt_embeddings.isfinite()).any(dim=1).sum())
        if not_finite:
            raise ValueError(
                f"Expected finite prompt embeddings, got NaN or infinity in {not_finite} of {len(prompt_embeddings)} "
                "rows: compute them again, in float32."
            )


class DPIQAModel(DPIQAPreTrainedModel):
    """Blind image quality assessment with the prior of a pretrained Stable Diffusion: the teacher.

    One pass of the UNet over the photo's latents, without noise, with the quality prompts as constant context and the
    image adapter's maps inside its down blocks; the decoder reads the outputs of its up blocks. Everything but the
    autoencoder is trained. In `eval()` mode a score is deterministic and independent of the other photos of the batch.

    Example:
        >>> model = DPIQAModel.from_pretrained("path/or/hub-id")
        >>> processor = DPIQAImageProcessor.from_pretrained("path/or/hub-id")
        >>> model(**processor(image, return_tensors="pt")).score
    """

    config_class = DPIQAConfig
    base_model_prefix = "teacher"
    _no_split_modules = [
        "TextAdapter",
        "Encoder",
        "EncoderTiny",
        "T2IAdapter",
        "CrossAttnDownBlock2D",
        "DownBlock2D",
        "UNetMidBlock2DCrossAttn",
        "UpBlock2D",
        "CrossAttnUpBlock2D",
        "QualityFeatureDecoder",
    ]
    _keep_in_fp32_modules_strict = ["decoder.mlp"]
    # Set on the copies that freeze_for_inference makes: what follows from constants is folded, so they can only score.
    is_folded = False

    def __init__(self, config: DPIQAConfig):
        # Here and not above: AutoModel knows this class, and whoever scores with a student needs no diffusers.
        from diffusers import T2IAdapter, UNet2DConditionModel

        super().__init__(config)
        parts: Any = config  # whose configurations are dicts by now
        self.autoencoder = _encoder_only(_autoencoder_class(config.autoencoder_type)(**parts.autoencoder_config))
        self.unet = _without_output(UNet2DConditionModel(**parts.unet_config))
        if self.autoencoder.config.latent_channels != self.unet.config.in_channels:
            raise ValueError(
                f"The autoencoder's {self.autoencoder.config.latent_channels} latent channels do not fit the UNet's "
                f"{self.unet.config.in_channels} input channels."
            )
        self.text_adapter = TextAdapter(config.num_prompts, self.unet.config.cross_attention_dim)
        self.image_adapter = T2IAdapter(in_channels=3, adapter_type="full_adapter", **parts.image_adapter_config)
        # The up blocks are as wide as the down blocks in reverse; the decoder takes the last one first.
        self.decoder = QualityFeatureDecoder(self.unet.config.block_out_channels, config)
        for block in self.unet.up_blocks:
            block.register_forward_hook(_keep_output)
        self.post_init()
        self.autoencoder.requires_grad_(False)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # PyTorch's own initialisation, which the published code relies on, in place of transformers' N(0, 0.02).
        if isinstance(module, nn.Linear | nn.Conv2d):
            init.kaiming_uniform_(module.weight, a=5**0.5)
            if module.bias is not None:
                bound = module.weight[0].numel() ** -0.5
                init.uniform_(module.bias, -bound, bound)
        elif isinstance(module, nn.GroupNorm | nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, TextAdapter):
            init.constant_(module.gamma, _INITIAL_GAMMA)
            init.normal_(module.prompt_embeddings)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Loads a teacher, see [`DPIQAPreTrainedModel.from_pretrained`], and freezes its autoencoder again."""
        result = super().from_pretrained(*args, **kwargs)
        model = result[0] if isinstance(result, tuple) else result
        model.autoencoder.requires_grad_(False)
        return result

    @classmethod
    def from_stable_diffusion(
        cls,
        stable_diffusion: str | os.PathLike[str],
        *,
        text_model: str | os.PathLike[str] = "openai/clip-vit-large-patch14",
        prompts: PromptGrid | Sequence[str] | None = None,
        prompt_embeddings: torch.Tensor | None = None,
        text_features: str = "projected",
        variant: str | None = None,
        hub_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> DPIQAModel:
        """Makes an untrained teacher from the autoencoder and the UNet of a Stable Diffusion.

        The text adapter, the image adapter and the decoder start from random weights: the teacher has to be trained
        before its scores mean something.

        Args:
            stable_diffusion: Folder or Hub id in diffusers' format, with `vae/` and `unet/` in safetensors.
            text_model: Folder or Hub id of a CLIP text model with projection and its tokenizer. Its features must be
                as wide as the UNet's cross-attention (768 for Stable Diffusion 1, 1024 for 2).
            prompts: The prompts; the 1,485 of the published code when not given.
            prompt_embeddings: (num_prompts, cross_attention_dim), in place of `text_model` and `prompts`.
            text_features: See [`dpiqa.models.prompts.encode_prompts`].
            variant: Kind of the weight files, such as "fp16".
            hub_options: `revision`, `cache_dir`, `token`, `local_files_only` for every download.
            **kwargs: Other fields of [`DPIQAConfig`].

        Returns:
            The teacher, float32, on the CPU.

        Raises:
            OSError: When a part is missing.
            TypeError: When `prompts` is one string.
            ValueError: When the parts do not fit together, or prompts and embeddings are both given.
        """
        from diffusers import AutoencoderKL, UNet2DConditionModel

        grid = PromptGrid() if prompts is None else prompts
        check_prompts(grid)
        if prompts is not None and prompt_embeddings is not None:
            raise ValueError("Give prompts or prompt_embeddings, not both.")
        hub_options = hub_options or {}
        missing = [part for part in ("vae", "unet") if not os.path.isdir(os.path.join(stable_diffusion, part))]
        if os.path.isdir(stable_diffusion) and missing:
            raise OSError(f"{stable_diffusion} has no folder {missing[0]}/: expected diffusers' format.")
        # What can be wrong is said soon: configurations first, and all parts are loaded before prompts are encoded.
        load = {"use_safetensors": True, "variant": variant, **hub_options}
        autoencoder_config = AutoencoderKL.load_config(stable_diffusion, subfolder="vae", **hub_options)
        autoencoder_class = _autoencoder_class(autoencoder_config["_class_name"])
        if prompt_embeddings is None:
            tokenizer, text = load_text_model(text_model, **hub_options)
        autoencoder = autoencoder_class.from_pretrained(stable_diffusion, subfolder="vae", **load)
        unet = UNet2DConditionModel.from_pretrained(stable_diffusion, subfolder="unet", **load)
        if prompt_embeddings is None:
            if isinstance(grid, PromptGrid):
                kwargs["prompt_grid"] = grid.to_dict()
            prompt_embeddings = encode_prompts(list(grid), tokenizer, text, text_features=text_features)
        config = DPIQAConfig(
            autoencoder_type=autoencoder_class.__name__,
            autoencoder_config=_init_config(autoencoder),
            unet_config=_init_config(unet),
            num_prompts=len(prompt_embeddings),
            text_features=text_features,
            **kwargs,
        )
        model = cls(config)
        # Only now: post_init() gives every module that it finds new weights.
        _load_kept(model.autoencoder, autoencoder)
        _load_kept(model.unet, unet)
        model.set_prompt_embeddings(prompt_embeddings)
        return model.eval()

    def set_prompt_embeddings(self, prompt_embeddings: torch.Tensor) -> None:
        """Replaces the prompt embeddings.

        Args:
            prompt_embeddings: (num_prompts, cross_attention_dim).

        Raises:
            ValueError: When the shape is another or a value is not finite.
        """
        self.text_adapter.check_embeddings(prompt_embeddings)
        self.text_adapter.prompt_embeddings.copy_(prompt_embeddings)

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """As `PreTrainedModel.save_pretrained`.

        Raises:
            ValueError: When the model was frozen for inference.
        """
        if self.is_folded:
            raise ValueError("This model was frozen for inference: save the model that it was made from.")
        super().save_pretrained(*args, **kwargs)

    def train(self, mode: bool = True) -> DPIQAModel:
        if mode and self.is_folded:
            raise ValueError("This model was frozen for inference: train the model that it was made from.")
        super().train(mode)
        self.autoencoder.eval()
        return self

    def encode(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """The autoencoder's scaled latents, without gradient.

        Args:
            pixel_values: (batch, 3, height, width) in [0, 1].

        Returns:
            (batch, latent channels, height / stride, width / stride).
        """
        with torch.no_grad():
            pixels = pixel_values * 2 - 1 if self.config.pixel_range == "symmetric" else pixel_values
            encoded = self.autoencoder.encode(pixels)
            if self.config.autoencoder_type == "AutoencoderTiny":
                latents = encoded.latents
            elif self.training and self.config.latent_sampling == "sample":
                latents = encoded.latent_dist.sample()
            else:
                latents = encoded.latent_dist.mode()
            return latents * self.autoencoder.config.scaling_factor

    def forward(
        self,
        pixel_values: torch.Tensor,
        labels: torch.Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        latents: torch.Tensor | None = None,
    ) -> DPIQAOutput | tuple[torch.Tensor, ...]:
        """Scores a batch.

        Args:
            pixel_values: (batch, 3, height, width) in [0, 1], prepared by the checkpoint's [`DPIQAImageProcessor`].
            labels: (batch,), MOS normalised to [0, 1]; adds the mean squared error as `loss`.
            output_hidden_states: Whether to return the outputs of the UNet's up blocks, first block first.
            return_dict: Whether to return a [`DPIQAOutput`] (default) or a tuple of its entries.
            latents: What [`encode`] gave for these pixels, when it is known already.

        Raises:
            ValueError: When the shape is not (batch, 3, height, width) or a side is not a multiple of the
                autoencoder's factor (8 for Stable Diffusion).
        """
        if pixel_values.ndim != 4 or pixel_values.shape[1] != 3 or not len(pixel_values):
            raise ValueError(
                f"Expected pixel_values of shape (batch, 3, height, width), got {tuple(pixel_values.shape)}."
            )
        self.config.check_size(*pixel_values.shape[2:])
        # In the type of the weights: pixels and kept latents are float32, and a checkpoint need not be.
        pixel_values = pixel_values.to(self.unet.conv_in.weight.dtype)
        context = self.text_adapter().expand(len(pixel_values), -1, -1)
        # The UNet empties the list that it is given.
        adapter_maps = list(self.image_adapter(pixel_values))
        self.unet(
            self.encode(pixel_values) if latents is None else latents.to(pixel_values.dtype),
            self.config.timestep,
            encoder_hidden_states=context,
            down_intrablock_additional_residuals=adapter_maps,
            return_dict=False,
        )
        features = [block.__dict__.pop("dpiqa_output") for block in self.unet.up_blocks]
        score, feature_map = self.decoder(features[::-1])
        loss = None if labels is None else F.mse_loss(score, labels.float())
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        hidden_states = tuple(features) if output_hidden_states else None
        output = DPIQAOutput(loss, score, feature_map, None, hidden_states)
        return_dict = self.config.return_dict if return_dict is None else return_dict
        return output if return_dict else output.to_tuple()


def _keep_output(block: nn.Module, args: Any, output: torch.Tensor) -> None:
    # On the block itself, so that copies and replicas of the model keep their own.
    block.dpiqa_output = output


def _autoencoder_class(name: str) -> type[AutoencoderKL] | type[AutoencoderTiny]:
    import diffusers

    if name not in ("AutoencoderKL", "AutoencoderTiny"):
        raise ValueError(f"Unsupported autoencoder {name!r}: expected AutoencoderKL or AutoencoderTiny.")
    return getattr(diffusers, name)


def _encoder_only(autoencoder: AutoencoderKL | AutoencoderTiny) -> AutoencoderKL | AutoencoderTiny:
    autoencoder.decoder = None
    autoencoder.post_quant_conv = None
    return autoencoder


def _without_output(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    unet.conv_norm_out = None
    unet.conv_out = nn.Identity()
    return unet


def _init_config(module: nn.Module) -> dict[str, Any]:
    """What a diffusers module was made with; its config holds more than that."""
    names = inspect.signature(type(module).__init__).parameters
    return {key: value for key, value in module.config.items() if key in names}


def _load_kept(module: nn.Module, full: nn.Module) -> None:
    """Copies the weights of a complete diffusers module into one of which parts were left out."""
    weights = full.state_dict()
    module.load_state_dict({key: weights[key] for key in module.state_dict()})


__all__ = ["DPIQAModel"]
