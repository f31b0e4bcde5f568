"""Tokens to experts and back, once it is decided who goes where: sort by expert, multiply, put back in order.

One dropless function; what a capacity drops comes as a mask. Routing, which decides, is in
:mod:`repro.models.token_routing`.
Axes: N tokens, D model, F hidden, E experts, K choices of a token, P = N K pairs (token, choice), R rows in order of
expert: the pairs and, on a CPU, a few more.
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
    """``[N, D]`` -> ``[R, D]``. Its gradient is a gather too: fast, and with one order of sums."""

    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, token_R: Tensor, place_P: Tensor, choices: int) -> Tensor:
        ctx.save_for_backward(place_P)
        ctx.choices = choices
        return x_ND.index_select(0, token_R)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (place_P,) = ctx.saved_tensors
        back = gradients[0].index_select(0, place_P)
        return back if ctx.choices == 1 else back.view(-1, ctx.choices, back.shape[1]).sum(1), None, None, None


class _FromPairs(torch.autograd.Function):
    """``[R, D]`` -> ``[P, D]`` in order of token and choice; rows that are no pair's get no gradient."""

    @staticmethod
    def forward(ctx: Any, y_RD: Tensor, place_P: Tensor) -> Tensor:
        ctx.save_for_backward(place_P)
        ctx.rows = len(y_RD)
        return y_RD.index_select(0, place_P)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (place_P,) = ctx.saved_tensors
        return gradients[0].new_zeros(ctx.rows, gradients[0].shape[1]).index_copy_(0, place_P, gradients[0]), None


class _EachExpert(torch.autograd.Function):
    """MLPs on rows in order of expert, ``[R, D]`` -> ``[R, D]``, one product an expert; rows beyond theirs are zero.

    Products and gradients are written in their places. Autograd would join the parts and stack the gradients of E
    weights, which copies all of them.
    """

    @staticmethod
    def forward(ctx: Any, x_RD: Tensor, rows_E: list[int], *layers: Tensor) -> Tensor:
        up_EFD, up_EF, down_EDF, down_ED = layers
        u_RF = _each_linear(x_RD, rows_E, up_EFD, up_EF)
        h_RF = F.gelu(u_RF)
        ctx.save_for_backward(x_RD, u_RF, h_RF, up_EFD, down_EDF)
        ctx.rows_E = rows_E
        return _each_linear(h_RF, rows_E, down_EDF, down_ED)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x_RD, u_RF, h_RF, up_EFD, down_EDF = ctx.saved_tensors
        h_grad, *down_grads = _each_linear_backward(gradients[0], h_RF, ctx.rows_E, down_EDF)
        u_grad = torch.ops.aten.gelu_backward(h_grad, u_RF)
        x_grad, *up_grads = _each_linear_backward(u_grad, x_RD, ctx.rows_E, up_EFD)
        return x_grad, None, *up_grads, *down_grads


def _each_linear(x_RI: Tensor, rows_E: list[int], weight_EOI: Tensor, bias_EO: Tensor) -> Tensor:
    """Rows of I numbers through their expert's layer, to O."""
    y_RO = x_RI.new_empty(len(x_RI), weight_EOI.shape[1])
    ends = [*rows_E, len(x_RI) - sum(rows_E)]
    *outs, rest = y_RO.split(ends)
    rest.zero_()
    for out, x, weight, bias in zip(outs, x_RI.split(ends), weight_EOI, bias_EO, strict=False):
        torch.addmm(bias, x, weight.t(), out=out)
    return y_RO


def _each_linear_backward(
    y_RO: Tensor, x_RI: Tensor, rows_E: list[int], weight_EOI: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of rows, weights and biases, of that of what came out."""
    x_grad, weight_grad = torch.empty_like(x_RI), torch.empty_like(weight_EOI)
    bias_grad = weight_EOI.new_empty(weight_EOI.shape[:2])
    ends = [*rows_E, len(x_RI) - sum(rows_E)]
    *outs, rest = x_grad.split(ends)
    rest.zero_()
    each = zip(outs, y_RO.split(ends), x_RI.split(ends), weight_EOI, weight_grad, bias_grad, strict=False)
    for out, y, x, weight, weight_out, bias_out in each:
        torch.mm(y, weight, out=out)
        torch.mm(y.t(), x, out=weight_out)
        torch.sum(y, 0, out=bias_out)
    return x_grad, weight_grad, bias_grad


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
        row_P = torch.arange(len(order_P), device=order_P.device)
        token_R = order_P // choices
    else:  # a dropped pair comes last, after all experts
        slots = experts_NK if kept_NK is None else experts_NK.where(kept_NK, num_experts)
        expert_P, order_P = slots.flatten().sort(stable=True)
        counts = torch.bincount(expert_P, minlength=num_experts + 1)
        rows = [_filled_up(count) for count in counts.tolist()]
        more = torch.tensor(rows) - counts
        row_P = torch.arange(len(order_P)) + (more.cumsum(0) - more)[expert_P]
        token_R = torch.zeros(sum(rows), dtype=torch.int64).index_copy_(0, row_P, order_P // choices)
    place_P = torch.empty_like(order_P).scatter_(0, order_P, row_P)
    x_RD = _ToPairs.apply(x_ND, token_R, place_P, choices)
    if grouped:
        ends_E = (expert_P[:, None] <= torch.arange(num_experts, device=expert_P.device)).sum(0, dtype=torch.int32)
        h_RF = F.gelu(_grouped_linear(x_RD, up_EFD, up_EF, expert_P, ends_E))
        y_RD = _grouped_linear(h_RF, down_EDF, down_ED, expert_P, ends_E)
    else:
        y_RD = _EachExpert.apply(x_RD, rows[:-1], *up, *down)
    y_NKD = _FromPairs.apply(y_RD, place_P).view(-1, choices, y_RD.shape[1])
    out_ND: Tensor = (y_NKD * weights_NK[..., None].to(y_NKD.dtype)).sum(1)
    return out_ND


def _filled_up(count: int) -> int:
    """From 64 on the next of 16 sizes an octave: on a CPU an expert's rows are filled up to it.

    What the rows beyond its tokens come to is not read. For each number of rows that it has not met oneDNN compiles a
    product anew, which takes several times as long as the product (``benchmarks/token_dispatch.py``).
    """
    unit = 1 if count < 64 else 1 << (count.bit_length() - 5)
    return -(count // -unit) * unit


def _grouped_linear(x_RD: Tensor, weight_EFD: Tensor, bias_EF: Tensor, expert_P: Tensor, ends_E: Tensor) -> Tensor:
    return F.grouped_mm(x_RD, weight_EFD.transpose(1, 2), offs=ends_E) + F.embedding(expert_P, bias_EF)
