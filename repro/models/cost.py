"""What a model costs: multiply-adds (MACs) and parameters, exact, by torch's own flop counter.

A MAC is one multiply-add of a convolution or linear layer (BatchNorm, ReLU and pooling count
nothing), parameters include BatchNorm's affine pair and fc biases: the paper's convention.
Nothing is computed: modules live on the ``meta`` device.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from repro.errors import SpecError
from repro.models.backbone import check_joins
from repro.models.registry import build_backbone, build_head


@dataclass(frozen=True)
class ModelCost:
    """Costs of a base-expert pair with K experts, for one image.

    trunk_macs, head_macs    the two parts of the base model
    expert_macs, gate_macs   one expert; the linear gate (D x K)
    base_params, expert_params, gate_params, fc_params  parameters of each; ``fc_params`` of the base's last layer
    """

    num_experts: int
    trunk_macs: int
    head_macs: int
    expert_macs: int
    gate_macs: int
    base_params: int
    expert_params: int
    gate_params: int
    fc_params: int

    @property
    def base_macs(self) -> int:
        """The base model alone: what an early exit costs, less the gate."""
        return self.trunk_macs + self.head_macs

    @property
    def macs(self) -> int:
        """Table 1's "MACs": the full base, the gate and ONE expert."""
        return self.base_macs + self.gate_macs + (self.expert_macs if self.num_experts else 0)

    @property
    def params_inference(self) -> int:
        """Base + gate + one expert: the plain sum."""
        return self.base_params + self.gate_params + (self.expert_params if self.num_experts else 0)

    @property
    def params_inference_paper(self) -> int:
        """Table 1's "#params inference": the plain sum less one fc.

        This rule was fitted to the printed numbers; which fc they left out, and why, is unknown.
        """
        return self.params_inference - (self.fc_params if self.num_experts else 0)

    @property
    def params_trainable(self) -> int:
        """Table 1's "#params trainable": all K experts (a backbone alone: itself)."""
        return self.num_experts * self.expert_params if self.num_experts else self.base_params

    def without_experts(self) -> ModelCost:
        """The backbone alone."""
        return replace(self, num_experts=0, expert_macs=0, gate_macs=0, expert_params=0, gate_params=0)

    def anytime_macs(self, experts_used: Tensor) -> Tensor:
        """Expected MACs ``[N]`` of samples that run ``experts_used`` ``[N]`` experts each (0: early exit)."""
        return self.base_macs + self.gate_macs + experts_used * self.expert_macs


def count_params(module: nn.Module) -> int:
    """Number of parameters (BatchNorm's running statistics are none)."""
    return sum(p.numel() for p in module.parameters())


class _WithoutNorms(TorchFunctionMode):
    """BatchNorm, which counts nothing, is passed by: on ``meta`` it takes most of the time of a forward."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if function is batch_norm else function(*args, **(kwargs or {}))


@contextmanager
def counter() -> Iterator[FlopCounterMode]:
    """Counts the operations (two a MAC) of the forwards made within; what they compute is not to be used."""
    with FlopCounterMode(display=False) as flops, torch.no_grad(), _WithoutNorms():
        yield flops


def count_macs(module: nn.Module, x: Tensor) -> tuple[int, Any]:
    """MACs of one forward of ``module`` on ``x``, best on ``meta``, and an output of the right shape."""
    with counter() as flops:
        out = module.eval()(x)
    return flops.get_total_flops() // 2, out


@cache
def model_cost(
    base: str, expert: str | None, num_classes: int, image_size: int, num_experts: int, width: float = 1.0
) -> ModelCost:
    """Cost of a pair such as ``("tr18", "tr10")``; with ``expert=None`` of the backbone alone.

    ``image_size`` is the side of the input in pixels. Raises :class:`SpecError` if the two do not join, or one cannot
    take such images.
    """
    with torch.device("meta"):
        net = build_backbone(base, num_classes, width)
        with _size_checked(base, image_size):
            trunk_macs, features = count_macs(net.trunk, torch.empty(1, 3, image_size, image_size))
            head_macs, _ = count_macs(net.head, features)
        expert_macs = expert_params = gate_macs = gate_params = 0
        if expert is None:
            num_experts = 0
        else:
            head = build_head(expert, num_classes, width)
            check_joins(net, head)
            with _size_checked(expert, image_size):
                expert_macs, _ = count_macs(head, features)
            expert_params = count_params(head)
            if num_experts > 1:  # one expert needs no gate
                gate_macs = net.head.fc.in_features * num_experts
                gate_params = gate_macs + num_experts
    return ModelCost(
        num_experts, trunk_macs, head_macs, expert_macs, gate_macs,
        count_params(net), expert_params, gate_params, count_params(net.head.fc),
    )  # fmt: skip


@contextmanager
def _size_checked(name: str, image_size: int) -> Iterator[None]:
    """What torch says of images too small for a network, as an error for the person."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError) as error:  # the last: more pixels than torch counts
        raise SpecError(f"{name} cannot take images of {image_size} pixels") from error


def width_for(widths: Sequence[float], target: float, cost: Callable[[float], float]) -> float:
    """Of ``widths``, which rise, the one whose ``cost`` (which rises with it, by whole channels) is nearest ``target``.

    Of several that are the same network it is the narrowest.
    """
    place = bisect_left(widths, target, key=cost)
    nearest = min(widths[max(place - 1, 0) : place + 1], key=lambda width: abs(cost(width) - target))
    return widths[bisect_left(widths, cost(nearest), key=cost)]
