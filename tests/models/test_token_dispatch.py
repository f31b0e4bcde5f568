"""Sort and split, and grouped products, give what the definition gives: values and gradients."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from repro.models.token_dispatch import run_experts

N, D, F_, E = 40, 16, 32, 4


def run_all(
    x_ND: Tensor, experts_NK: Tensor, weights_NK: Tensor, kept_NK: Tensor | None, up: tuple, down: tuple
) -> Tensor:
    """By the definition: every expert on every token, then the weighted sum of the chosen."""
    hidden_ENF = F.gelu(torch.einsum("nd,efd->enf", x_ND, up[0]) + up[1][:, None])
    y_END = torch.einsum("enf,edf->end", hidden_ENF, down[0]) + down[1][:, None]
    weights_NK = weights_NK if kept_NK is None else weights_NK * kept_NK
    weights_NE = weights_NK.new_zeros(len(x_ND), len(y_END)).scatter(1, experts_NK, weights_NK)
    return torch.einsum("end,ne->nd", y_END, weights_NE)


def problem(choices: int, drop: bool, idle: bool = False) -> tuple[list[Tensor], Tensor, Tensor | None]:
    """Leaves (tokens, weights, parameters), choices, and which are kept; with ``idle`` the last expert has no token."""
    g = torch.Generator().manual_seed(choices)
    shapes = [(N, D), (N, choices), (E, F_, D), (E, F_), (E, D, F_), (E, D)]
    leaves = [torch.randn(shape, generator=g, dtype=torch.float64).requires_grad_() for shape in shapes]
    experts = torch.rand(N, E - idle, generator=g).argsort(1)[:, :choices]
    kept = torch.rand(N, choices, generator=g) < 0.7 if drop else None
    return leaves, experts, kept


def gradients(
    function: Callable[..., Tensor], leaves: list[Tensor], experts: Tensor, kept: Tensor | None, **more: bool
) -> list[Tensor]:
    x, weights, *parameters = leaves
    out = function(x, experts, weights, kept, tuple(parameters[:2]), tuple(parameters[2:]), **more)
    direction = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return [out, *torch.autograd.grad((out * direction).sum(), leaves)]


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("idle", [False, True])
@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("choices", [1, 2, 3])
def test_as_all_experts_then_the_chosen(choices: int, drop: bool, idle: bool, grouped: bool) -> None:
    leaves, experts, kept = problem(choices, drop, idle)
    if grouped:  # grouped products know no float64
        leaves = [leaf.detach().float().requires_grad_() for leaf in leaves]
    ours = gradients(run_experts, leaves, experts, kept, grouped=grouped)
    theirs = gradients(run_all, leaves, experts, kept)
    tolerance = 1e-4 if grouped else 1e-10
    for mine, definition in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, definition, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("grouped", [False, True])
def test_bf16_autocast_reaches_the_products(grouped: bool) -> None:
    leaves, experts, kept = problem(2, True)
    x, weights, w1, b1, w2, b2 = (leaf.detach().float() for leaf in leaves)
    up, down = (w1, b1), (w2, b2)
    with torch.autocast("cpu", torch.bfloat16):
        out = run_experts(x, experts, weights, kept, up, down, grouped=grouped)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), run_all(x, experts, weights, kept, up, down), rtol=0.05, atol=0.5)


@pytest.mark.parametrize(("choices", "grouped"), [(1, False), (2, False), (2, True)])
def test_the_flop_counter_counts_the_chosen_experts_alone(choices: int, grouped: bool) -> None:
    """A forward is 2 matrix products of every pair, and a backward twice as much."""
    leaves, experts, _ = problem(choices, False)
    leaves = [leaf.detach().float().requires_grad_() for leaf in leaves]
    with FlopCounterMode(display=False) as counter:
        gradients(run_experts, leaves, experts, None, grouped=grouped)
    dense = 2 * N * D * F_
    assert counter.get_total_flops() // 2 == 3 * choices * dense


def test_rows_that_fill_an_expert_up_change_nothing() -> None:
    """Of 1,000 tokens an expert gets some 250, and as many or up to 15 more rows: counted, but read by nobody."""
    g = torch.Generator().manual_seed(0)
    parameters = [leaf.detach().float() for leaf in problem(1, False)[0][2:]]
    tokens_and_weights = [torch.randn(1000, columns, generator=g) for columns in (D, 1)]
    leaves = [leaf.requires_grad_() for leaf in (*tokens_and_weights, *parameters)]
    experts = torch.randint(E, (1000, 1), generator=g)
    kept = torch.rand(1000, 1, generator=g) < 0.9
    with FlopCounterMode(display=False) as counter:
        ours = gradients(run_experts, leaves, experts, kept, grouped=False)
    tokens = int(kept.sum())
    assert tokens < counter.get_total_flops() // (6 * 2 * D * F_) < 17 / 16 * tokens
    for mine, definition in zip(ours, gradients(run_all, leaves, experts, kept), strict=True):
        torch.testing.assert_close(mine, definition, rtol=1e-4, atol=1e-4)
