"""Which experts a token goes to: a gate's logits, noise, the top k, a capacity, and two losses that keep the balance.

Dispatch, which carries it out, is in :mod:`repro.models.token_dispatch`. The gate computes in float32, always.
Axes: N tokens, D model, E experts, K choices of a token, P dimensions in which the cos and L2 gates compare.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GateName = Literal["conv", "cos", "l2"]
MAX_SCALE = 100.0  # of the cos and L2 gates, as in Tutel


class CodeGate(nn.Module):
    """A projection to P dimensions, then the likeness to a learned code of each expert, times a learned scale.

    ``cos`` is the cosine (Chi et al. 2022, with Tutel's constants); ``l2`` minus the Euclidean distance of vectors
    that are not normalised: of normalised ones it would rank experts as the cosine does.
    """

    def __init__(self, dim: int, num_experts: int, likeness: Literal["cos", "l2"], code_dim: int) -> None:
        super().__init__()
        self.likeness = likeness
        self.project = nn.Linear(dim, code_dim)
        self.codes = nn.Parameter(torch.randn(code_dim, num_experts) / math.sqrt(code_dim))
        self.log_scale = nn.Parameter(torch.tensor(math.log(2.0)))

    def forward(self, x_ND: Tensor) -> Tensor:
        """Logits ``[N, E]``."""
        v_NP = self.project(x_ND)
        scale = self.log_scale.exp().clamp(max=MAX_SCALE)
        if self.likeness == "cos":
            out: Tensor = scale * (F.normalize(v_NP, dim=1) @ F.normalize(self.codes, dim=0))
            return out
        squared_NE = v_NP.square().sum(1, keepdim=True) + self.codes.square().sum(0) - 2 * v_NP @ self.codes
        return -scale * squared_NE.clamp(min=1e-12).sqrt()


def build_gate(name: GateName, dim: int, num_experts: int, code_dim: int) -> nn.Module:
    """A gate by its name (appendix, "Exploration of routing architectures"): logits ``[N, E]`` of tokens ``[N, D]``.

    ``conv`` is a 1x1 convolution over tokens, without bias.
    """
    if name != "conv":
        return CodeGate(dim, num_experts, name, code_dim)
    gate = nn.Linear(dim, num_experts, bias=False)
    nn.init.trunc_normal_(gate.weight, std=0.02)
    return gate


class Choice(NamedTuple):
    """What a router decides for N tokens.

    experts_NK  int64, best first; weights_NK  float32, G(x) of them; kept_NK  bool, ``None`` if nothing is dropped;
    losses      scalars by name, while training
    """

    experts_NK: Tensor
    weights_NK: Tensor
    kept_NK: Tensor | None
    losses: dict[str, Tensor]


@dataclass(frozen=True)
class Routing:
    """How experts are chosen; every field but ``top_k`` is something that the text leaves open.

    top_k              k
    noise              standard deviation of the noise on logits in units of 1/E, while training; 0: none
    capacity           places of an expert, while training, in units of an equal share k N / E; ``None``: no limit
    batch_prioritised  who comes first where places are few: the token of largest weight, or the first in the batch
    renormalise        divide the weights of the k chosen by their sum, which is a softmax *after* top-k
    """

    top_k: int = 1
    noise: float = 1.0
    capacity: float | None = 1.05
    batch_prioritised: bool = True
    renormalise: bool = False

    def choose(self, logits_NE: Tensor, training: bool) -> Choice:
        """Choices for float32 logits; in evaluation without noise or capacity, so each token's is its own."""
        num_experts = logits_NE.shape[1]
        clean_NE = logits_NE.softmax(1)
        sigma = self.noise / num_experts
        noisy = training and sigma > 0
        noisy_NE = logits_NE + sigma * torch.randn_like(logits_NE) if noisy else logits_NE
        weights_NK, experts_NK = (noisy_NE.softmax(1) if noisy else clean_NE).topk(self.top_k)
        if self.renormalise:
            weights_NK = weights_NK / weights_NK.sum(1, keepdim=True)
        kept_NK = None
        if training and self.capacity is not None:
            places = math.ceil(self.capacity * self.top_k * len(logits_NE) / num_experts)
            priority_N = weights_NK.detach().amax(1) if self.batch_prioritised else None
            kept_NK = within_capacity(experts_NK, num_experts, places, priority_N)
        losses = {"importance": importance_loss(clean_NE)} if training else {}
        if noisy and self.top_k < num_experts:
            losses["load"] = load_loss(logits_NE, noisy_NE, sigma, self.top_k)
        return Choice(experts_NK, weights_NK, kept_NK, losses)


def within_capacity(experts_NK: Tensor, num_experts: int, places: int, priority_N: Tensor | None = None) -> Tensor:
    """Which pairs find a place, bool ``[N, K]``: first choices before second ones, then by priority, then by position.

    Args:
        experts_NK: int64 choices.
        num_experts: E.
        places: how many pairs an expert takes.
        priority_N: who comes first: the largest (batch prioritised routing, Riquelme et al. 2021, Section 4.1).
    """
    num_tokens, choices = experts_NK.shape
    if priority_N is None:
        queue_N = torch.arange(num_tokens, device=experts_NK.device)
    else:
        queue_N = priority_N.argsort(descending=True, stable=True)
    in_turn = experts_NK[queue_N].t().flatten()  # [K N], in the order in which places are taken
    position = F.one_hot(in_turn, num_experts).cumsum(0).gather(1, in_turn[:, None])[:, 0]
    kept_NK = torch.empty(num_tokens, choices, dtype=torch.bool, device=experts_NK.device)
    kept_NK[queue_N] = (position <= places).view(choices, num_tokens).t()
    return kept_NK


def squared_variation(x_E: Tensor) -> Tensor:
    """Variance over squared mean. Not via a standard deviation, whose gradient at perfect balance is not a number."""
    return x_E.var(correction=0) / x_E.mean().square()


def importance_loss(probabilities_NE: Tensor) -> Tensor:
    """CV² of the experts' summed gate probabilities (Shazeer et al. 2017, Eq. 6-7): V-MoE's, without noise."""
    return squared_variation(probabilities_NE.sum(0))


def load_loss(logits_NE: Tensor, noisy_NE: Tensor, sigma: float, top_k: int) -> Tensor:
    """CV² of the experts' expected numbers of tokens (Shazeer et al. 2017, Eq. 8-11).

    P(x, i) is the probability that expert i is among the k best if its own noise were drawn again: its logit
    *without* noise against the k-th best of the *other* experts' logits *with* noise.

    Args:
        logits_NE: without noise.
        noisy_NE: with noise of standard deviation ``sigma``.
        sigma: more than 0.
        top_k: less than E.
    """
    best = noisy_NE.topk(top_k + 1).values  # [N, K + 1]
    kth, next_one = best[:, top_k - 1, None], best[:, top_k, None]
    threshold_NE = torch.where(noisy_NE > next_one, next_one, kth)
    chance_NE = torch.special.ndtr((logits_NE - threshold_NE) / sigma)
    return squared_variation(chance_NE.sum(0))
