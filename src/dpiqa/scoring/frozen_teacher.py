"""Folding what never changes between photos: a teacher that only scores."""

from __future__ import annotations

import copy

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from torch import nn
from torch.nn import functional as F

from ..models.modeling_dpiqa import DPIQAModel

# Rows of queries whose attention weights over a few thousand keys stay in a core's cache.
_BLOCK_ROWS = 256


def freeze_for_inference(
    model: DPIQAModel, *, device: str | torch.device | None = None, dtype: torch.dtype | None = None
) -> DPIQAModel:
    """Makes a copy of a teacher that scores the same, faster, and can do nothing else.

    Prompts and timestep are constant, so everything that follows from them alone is computed once: the adapted prompt
    embeddings, every cross-attention key and value, and every residual block's time-embedding term, which becomes
    part of a bias. What only served to compute those is dropped. The model itself is left as it is; weights that
    need no change are shared with it.

    Args:
        model: The teacher.
        device: Where the copy goes; None leaves it where the model is.
        dtype: Type of its weights; None takes [`inference_dtype`] of the device. The decoder's MLP stays in float32.

    Returns:
        A `DPIQAModel` in eval mode without gradients, in channels-last memory format. It cannot be saved or trained.
        `torch.compile(model, fullgraph=True)` works on it.

    Raises:
        ValueError: When the model was frozen already, is offloaded, has low-rank updates that are not merged, or has
            time embeddings that scale.
    """
    if model.is_folded:
        raise ValueError("The model was frozen for inference already.")
    if any(type(module).__module__.startswith("peft.") for module in model.modules()):
        # Their part of keys and values would be lost, as these are computed from the weights alone.
        raise ValueError(
            "The model has low-rank updates that are not merged: take what PeftModel.merge_and_unload() returns, "
            "or load it with dpiqa.training.lora.merge_lora."
        )
    tensors = [*model.parameters(), *model.buffers()]
    if any(tensor.is_meta for tensor in tensors):
        raise ValueError("Weights of this model are offloaded: load it without device_map to freeze it for inference.")
    shared = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in model.parameters()}
    shared |= {id(b): b.detach() for b in model.buffers()}
    frozen = copy.deepcopy(model, shared).eval()
    device = torch.device(device) if device is not None else tensors[0].device
    dtype = inference_dtype(device) if dtype is None else dtype
    with torch.inference_mode(False), torch.no_grad():
        _fold_context(frozen)
        _fold_time(frozen)
    for module in frozen.modules():
        if isinstance(module, Attention):
            module.set_processor(_FoldedAttention())
    frozen.to(device=device, dtype=dtype, memory_format=torch.channels_last)
    frozen.decoder.mlp.float()
    frozen.is_folded = True
    return frozen


def inference_dtype(device: torch.device) -> torch.dtype:
    """The fastest type in which a teacher on this device ranks photos as in float32: bfloat16 where it is native.

    float16 is never chosen: activations of Stable Diffusion's autoencoder overflow in it.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        native = any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    else:
        native = False
    return torch.bfloat16 if native else torch.float32


class _NoContext(nn.Module):
    """Stands in for the text adapter: every cross-attention has its keys and values already."""

    def __init__(self, prompt_size: int):
        super().__init__()
        self.register_buffer("context", torch.empty(1, prompt_size))

    def forward(self) -> torch.Tensor:
        return self.context


class _NoTimeEmbedding(nn.Module):
    """Stands in for the UNet's time embedding: every residual block has its term already."""

    def forward(self, *args: object) -> None:
        return None


def _fold_context(model: DPIQAModel) -> None:
    context = model.text_adapter.float()()
    for module in model.unet.modules():
        if isinstance(module, Attention) and module.is_cross_attention:
            key = F.linear(context, module.to_k.weight.float(), _float_or_none(module.to_k.bias))
            value = F.linear(context, module.to_v.weight.float(), _float_or_none(module.to_v.bias))
            for name, folded in (("folded_key", key), ("folded_value", value)):
                # Three dimensions, which the channels-last memory format leaves alone.
                module.register_buffer(name, _split_heads(folded, module.heads).contiguous())
            module.to_k = module.to_v = None
    model.text_adapter = _NoContext(context.shape[1])


def _fold_time(model: DPIQAModel) -> None:
    unet = model.unet
    timestep = torch.tensor([model.config.timestep], device=unet.conv_in.weight.device)
    embedding = unet.time_embedding.float()(unet.time_proj(timestep))
    if unet.time_embed_act is not None:
        embedding = unet.time_embed_act(embedding)
        unet.time_embed_act = None
    for block in unet.modules():
        if isinstance(block, ResnetBlock2D):
            if block.time_embedding_norm != "default":
                raise ValueError(f"Cannot fold time embeddings of the kind {block.time_embedding_norm!r} into a bias.")
            activated = embedding if block.skip_time_act else block.nonlinearity(embedding)
            term = block.time_emb_proj.float()(activated)[0]
            block.conv1.bias = nn.Parameter((block.conv1.bias + term).to(block.conv1.bias.dtype), requires_grad=False)
            block.time_emb_proj = None
    unet.time_embedding = _NoTimeEmbedding()


def _float_or_none(bias: torch.Tensor | None) -> torch.Tensor | None:
    return None if bias is None else bias.float()


class _FoldedAttention:
    """diffusers attention processor; cross-attention finds its keys and values in `folded_key` and `folded_value`."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
    ) -> torch.Tensor:
        tokens = hidden_states.flatten(2).transpose(1, 2) if hidden_states.ndim == 4 else hidden_states
        if attn.group_norm is not None:
            tokens = attn.group_norm(tokens.transpose(1, 2)).transpose(1, 2)
        query = _split_heads(attn.to_q(tokens), attn.heads)
        if attn.is_cross_attention:
            key, value = (t.expand(len(tokens), -1, -1, -1) for t in (attn.folded_key, attn.folded_value))
        else:
            key, value = (_split_heads(project(tokens), attn.heads) for project in (attn.to_k, attn.to_v))
        output = attn.to_out[0](_attention(query, key, value).transpose(1, 2).flatten(2))
        if hidden_states.ndim == 4:
            output = output.transpose(1, 2).reshape(hidden_states.shape)
        if attn.residual_connection:
            output = output + hidden_states
        return output if attn.rescale_output_factor == 1 else output / attn.rescale_output_factor


def _split_heads(tokens: torch.Tensor, heads: int) -> torch.Tensor:
    """(..., tokens, channels) -> (..., heads, tokens, channels / heads)."""
    return tokens.unflatten(-1, (heads, -1)).transpose(-2, -3)


def _attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    if query.device.type == "cpu" and query.dtype == torch.bfloat16:
        return _blocked_attention(query, key, value)
    return F.scaled_dot_product_attention(query, key, value)


@torch.library.custom_op("dpiqa::blocked_attention", mutates_args=())
def _blocked_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Attention one block of queries at a time, on matrix products that use a CPU's bfloat16 instructions.

    PyTorch's fused attention for the CPU runs far below the speed of its matrix products in bfloat16: see
    benchmarks/bench_teacher.py.
    """
    query = query * query.shape[-1] ** -0.5
    output = torch.empty_like(query, memory_format=torch.contiguous_format)
    for image in range(query.shape[0]):
        for head in range(query.shape[1]):
            keys, values = key[image, head], value[image, head]
            for start in range(0, query.shape[2], _BLOCK_ROWS):
                rows = slice(start, start + _BLOCK_ROWS)
                weights = F.linear(query[image, head, rows], keys).softmax(dim=-1)
                torch.mm(weights, values, out=output[image, head, rows])
    return output


@_blocked_attention.register_fake
def _(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(query, memory_format=torch.contiguous_format)
