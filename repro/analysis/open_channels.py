"""Whether gates choose by image: channels that are open for hardly any image, for nearly every one, and the rest.

Axes: N images, G gated channels of all layers, L gated layers, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

RARE = 0.01
"""Open for a smaller share of the images a channel counts as never open; closed for a smaller one, as always open."""


def how_open(gates_NG: Tensor, sizes: Sequence[int]) -> Tensor:
    """How many channels of each layer are never open, always open, and neither: ``[L, 3]``, whole numbers."""
    often_G = (gates_NG > 0).double().mean(0)
    never, always = often_G < RARE, often_G > 1 - RARE
    each = torch.stack([never, always, ~(never | always)], 1).split(list(sizes))
    return torch.stack([layer.sum(0) for layer in each])


def open_by_class(gates_NG: Tensor, labels_N: Tensor, sizes: Sequence[int]) -> Tensor:
    """Share of each layer's channels that are open, the mean over a class's images: ``[C, L]``, of classes with any."""
    open_NL = torch.stack([part.double().mean(1) for part in (gates_NG > 0).split(list(sizes), 1)], 1)
    return torch.stack([open_NL[labels_N == label].mean(0) for label in labels_N.unique()])
