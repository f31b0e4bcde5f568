"""An MLP per token that is a sparse mixture: y = Σ_{i in top-k} G(x)_i E_i(x) (Shazeer et al. 2017).

Axes: N tokens, D model, F hidden, E experts, K choices of a token.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from repro.errors import SpecError
from repro.models.token_dispatch import ALIGNED, run_experts
from repro.models.token_routing import Choice, GateName, Routing, build_gate

MLP = tuple[nn.Linear, nn.Linear]


class SparseMoE(nn.Module):
    """A gate and E experts, each of two linear layers with GELU between them.

    Args:
        experts: their first weights; expert e computes exactly what the pair does.
        gate: ``conv``, ``cos`` or ``l2``.
        routing: how experts are chosen.
        code_dim: dimensions in which the cos and L2 gates compare.

    Raises:
        SpecError: if a size is no multiple of 8.
    """

    up_weight: nn.Parameter  # [E, F, D]
    up_bias: nn.Parameter  # [E, F]
    down_weight: nn.Parameter  # [E, D, F]
    down_bias: nn.Parameter  # [E, D]

    def __init__(self, experts: Sequence[MLP], gate: GateName, routing: Routing, code_dim: int = 256) -> None:
        super().__init__()
        dim, hidden = experts[0][0].in_features, experts[0][0].out_features
        if dim % ALIGNED or hidden % ALIGNED:
            raise SpecError(
                f"a mixture of {dim} channels with {hidden} hidden ones: both must be multiples of {ALIGNED}, "
                "which grouped matrix products want; change width or hidden_ratio"
            )
        self.gate = build_gate(gate, dim, len(experts), code_dim)
        self.routing = routing
        for name, index in (("up", 0), ("down", 1)):
            weights, biases = zip(*((mlp[index].weight, mlp[index].bias) for mlp in experts), strict=True)
            self.register_parameter(f"{name}_weight", nn.Parameter(torch.stack(weights).detach()))
            self.register_parameter(f"{name}_bias", nn.Parameter(torch.stack(biases).detach()))

    @property
    def num_experts(self) -> int:
        """E."""
        return len(self.up_bias)

    def expert_parameters(self) -> list[nn.Parameter]:
        """All but the gate's: those of the E experts."""
        return [self.up_weight, self.up_bias, self.down_weight, self.down_bias]

    def forward(self, x: Tensor) -> tuple[Tensor, Choice]:
        """Tokens ``[..., D]`` to the same shape, and what was decided for the N of them."""
        x_ND = x.reshape(-1, x.shape[-1])
        if x.is_meta:  # where costs are counted, and autocast is unknown
            logits_NE = self.gate(x_ND)
        else:
            with torch.autocast(x.device.type, enabled=False):
                logits_NE = self.gate(x_ND.float())
        choice = self.routing.choose(logits_NE, self.training)
        up, down = (self.up_weight, self.up_bias), (self.down_weight, self.down_bias)
        y_ND = run_experts(x_ND, choice.experts_NK, choice.weights_NK, choice.kept_NK, up, down)
        return y_ND.view(x.shape), choice
