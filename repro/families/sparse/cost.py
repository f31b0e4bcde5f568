"""What a sparse network costs, counted: nothing is computed, and no weight exists."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

from repro.families.sparse.config import SparseConfig
from repro.families.sparse.model import build
from repro.models.cost import count_macs, count_params
from repro.study.results import Cost


@dataclass(frozen=True)
class SparseCost:
    """Of one image, dropless, whatever is routed where.

    macs           multiply-adds: everything that runs, gates too
    routed_macs    those of the experts among them
    params         all parameters, those of the last layer too
    active_params  without the experts that a token does not visit
    """

    macs: int
    routed_macs: int
    params: int
    active_params: int

    @property
    def routed_share(self) -> float:
        """ρ, in [0, 1]: the share of the compute that is routed."""
        return self.routed_macs / self.macs

    def row(self, num_experts: int, name: str) -> Cost:
        """What the network costs, for the record; ``params_trainable`` are all parameters."""
        return Cost(
            num_experts=num_experts, row=name, macs=self.macs, params_inference=self.active_params,
            params_trainable=self.params,
        )  # fmt: skip


@cache
def sparse_cost(config: SparseConfig) -> SparseCost:
    """The exact cost of a network."""
    with torch.device("meta"):
        network = build(config.model_copy(update={"start": "scratch"}))
        macs, out = count_macs(network, torch.empty(1, 3, config.image_size, config.image_size))
    params = count_params(network)
    routed = idle = 0
    for mixture, choice in zip(network.mixtures, out.choices, strict=True):
        routed += choice.experts_NK.numel() * (mixture.up_weight[0].numel() + mixture.down_weight[0].numel())
        experts = sum(p.numel() for p in mixture.expert_parameters())
        idle += experts * (config.num_experts - config.top_k) // config.num_experts
    return SparseCost(macs, routed, params, params - idle)
