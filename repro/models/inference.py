"""A trained model in the form in which it is fastest to use: the same function, no longer trainable.

BatchNorm in evaluation mode is a scale and a shift, which the convolution before it takes over; where
networks run in bf16 the convolutions' weights are rounded once rather than at every call. The result
differs from the trained module's by rounding alone.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn
from torch.fx.experimental.optimization import fuse

from repro.models.backbone import Backbone, Head
from repro.models.registry import freeze

Module = TypeVar("Module", bound=nn.Module)


def for_inference(module: Module, device: torch.device, bf16: bool) -> Module:
    """A frozen copy of a backbone, expert or whole mixture on ``device``, channels-last, BatchNorm folded in.

    With ``bf16`` the convolutions' weights are bf16, so the copy runs under bf16 autocast only.
    """
    module = freeze(copy.deepcopy(module))
    for part in list(module.modules()):
        if isinstance(part, Backbone):
            part.trunk = fuse(part.trunk)
        if isinstance(part, Head):
            part.features = fuse(part.features)
    if bf16:
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                part.to(torch.bfloat16)
    return module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
