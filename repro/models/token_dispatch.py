"""Tokens to experts and back, once it is decided who goes where: sort by expert, multiply, put back in order.

One dropless function; what a capacity drops comes as a mask. Routing, which decides, is in
:mod:`repro.models.token_routing`.
Axes: N tokens, D model, F hidden, E experts, K choices of a token, P = N K pairs (token, choice) in order of expert.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

ALIGNED = 8  # grouped matrix products want rows of a multiple of 16 bytes: 8 numbers in bf16


@register_flop_formula(torch.ops.aten._grouped_mm)
def _grouped_mm_flops(a: Any, b: Any, *args: Any, **kwargs: Any) -> int:
    """Of shapes ``[P, D]`` and ``[E, D, F]``, or, for the gradient of the weights, ``[D, P]`` and ``[P, F]``."""
    return int(2 * a[0] * a[1] * b[-1])


class _ToPairs(torch.autograd.Function):
    """``[N, D]`` -> ``[P, D]`` in order of expert. Its gradient is a gather too: fast, and with one order of sums."""

    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, order_P: Tensor, place_P: Tensor, choices: int) -> Tensor:
        ctx.save_for_backward(place_P)
        ctx.choices = choices
        return x_ND.index_select(0, order_P // choices if choices > 1 else order_P)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (place_P,) = ctx.saved_tensors
        back = gradients[0].index_select(0, place_P)
        return back if ctx.choices == 1 else back.view(-1, ctx.choices, back.shape[1]).sum(1), None, None, None


class _FromPairs(torch.autograd.Function):
    """``[P, D]`` in order of expert -> ``[P, D]`` in order of token and choice."""

    @staticmethod
    def forward(ctx: Any, y_PD: Tensor, order_P: Tensor, place_P: Tensor) -> Tensor:
        ctx.save_for_backward(order_P)
        return y_PD.index_select(0, place_P)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (order_P,) = ctx.saved_tensors
        return gradients[0].index_select(0, order_P), None, None


def run_experts(
    x_ND: Tensor,
    experts_NK: Tensor,
    weights_NK: Tensor,
    kept_NK: Tensor | None,
    up: tuple[Tensor, Tensor],
    down: tuple[Tensor, Tensor],
    grouped: bool | None = None,
) -> Tensor:
    """``y_n = Σ_k weights[n, k] MLP_{experts[n, k]}(x_n)``, ``[N, D]``: only the chosen experts run.

    Args:
        x_ND: float tokens.
        experts_NK: int64 indices of the chosen experts, different ones for a token.
        weights_NK: float32 combination weights.
        kept_NK: bool, False where a capacity drops the pair, which then adds nothing; ``None`` drops none.
        up: weights ``[E, F, D]`` and biases ``[E, F]`` of the experts' first layers; GELU follows.
        down: weights ``[E, D, F]`` and biases ``[E, D]`` of their second ones.
        grouped: one grouped matrix product a layer (no size depends on data: compiles, never waits for a GPU;
            D and F multiples of 8) or one product an expert. By default the latter on a CPU alone.
    """
    device = x_ND.device.type
    if device != "meta" and torch.is_autocast_enabled(device):  # once; and it leaves grouped products in float32
        dtype = torch.get_autocast_dtype(device)
        x_ND, up, down = x_ND.to(dtype), (up[0].to(dtype), up[1].to(dtype)), (down[0].to(dtype), down[1].to(dtype))
    (up_EFD, up_EF), (down_EDF, down_ED) = up, down
    num_experts, choices = len(up_EFD), experts_NK.shape[1]
    if kept_NK is not None:
        weights_NK = weights_NK * kept_NK
    if grouped is None:
        grouped = device != "cpu"
    if grouped:  # a dropped pair is computed and weighs nothing: its place is not known beforehand
        expert_P, order_P = experts_NK.flatten().sort(stable=True)
    else:  # a dropped pair comes last, after all experts
        slots = experts_NK if kept_NK is None else experts_NK.where(kept_NK, num_experts)
        expert_P, order_P = slots.flatten().sort(stable=True)
    place_P = torch.empty_like(order_P).scatter_(0, order_P, torch.arange(len(order_P), device=order_P.device))
    x_PD = _ToPairs.apply(x_ND, order_P, place_P, choices)
    if grouped:
        ends_E = (expert_P[:, None] <= torch.arange(num_experts, device=expert_P.device)).sum(0, dtype=torch.int32)
        h_PF = F.gelu(_grouped_linear(x_PD, up_EFD, up_EF, expert_P, ends_E))
        y_PD = _grouped_linear(h_PF, down_EDF, down_ED, expert_P, ends_E)
    else:
        counts = torch.bincount(expert_P, minlength=num_experts + 1).tolist()
        # Not by index: the gradient of each x[e] would be a tensor of all experts' size.
        layers = zip(*(tensor.unbind() for tensor in (*up, *down)), strict=True)
        done = [
            F.linear(F.gelu(F.linear(part, w1, b1)), w2, b2)
            for part, (w1, b1, w2, b2) in zip(x_PD.split(counts), layers, strict=False)
            if len(part)
        ]
        y_PD = torch.cat(done)
        if counts[num_experts]:
            y_PD = F.pad(y_PD, (0, 0, 0, counts[num_experts]))
    y_NKD = _FromPairs.apply(y_PD, order_P, place_P).view(-1, choices, y_PD.shape[1])
    out_ND: Tensor = (y_NKD * weights_NK[..., None].to(y_NKD.dtype)).sum(1)
    return out_ND


def _grouped_linear(x_PD: Tensor, weight_EFD: Tensor, bias_EF: Tensor, expert_P: Tensor, ends_E: Tensor) -> Tensor:
    return F.grouped_mm(x_PD, weight_EFD.transpose(1, 2), offs=ends_E) + F.embedding(expert_P, bias_EF)
