"""tr10, tr18, tr34, tr50: "tiny ResNets" (Section 4), residual networks without the first two down-samplings.

Stem 3x3 convolution of stride 1, no max-pool; stages of 64-128-256-512 channels with strides
1-2-2-2; 1x1 convolution + BatchNorm on the shortcut where the shape changes; global average pool;
one linear layer. The paper gives no layer list; these reproduce every cost figure of Table 1.
"""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import SpecError

BLOCKS_PER_STAGE = {"tr10": (1, 1, 1, 1), "tr18": (2, 2, 2, 2), "tr34": (3, 4, 6, 3), "tr50": (3, 4, 6, 3)}


class ConvBN(nn.Sequential):
    """Convolution without bias, then BatchNorm."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel, stride, dilation * (kernel // 2), dilation, bias=False),
            nn.BatchNorm2d(channels_out),
        )

    @property
    def convolution(self) -> nn.Conv2d:
        """The first of the two."""
        return cast(nn.Conv2d, self[0])


class Shortcut(ConvBN):
    """A 1x1 convolution of some stride, then BatchNorm.

    The skipped pixels are dropped before the convolution, which is the same function: oneDNN's
    backward pass of a strided 1x1 convolution writes past its buffers when channels are few (8) and
    memory is channels-last (seen with torch 2.15 on a CPU). They are dropped by a pooling of one pixel, whose gradient
    stays channels-last; that of a slice does not, and all that is added to it takes up to eight times as long.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__(channels_in, channels_out, 1)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.stride == 1 else F.avg_pool2d(x, 1, self.stride))


class Residual(nn.Module):
    """``relu(body(x) + shortcut(x))``; the shortcut is the identity where the shapes allow it."""

    def __init__(self, body: nn.Module, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.body = body
        same = stride == 1 and channels_in == channels_out
        self.shortcut = nn.Identity() if same else Shortcut(channels_in, channels_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x), inplace=True)


def basic_block(channels_in: int, channels: int, stride: int) -> Residual:
    """Two 3x3 convolutions (tr10, tr18, tr34)."""
    body = nn.Sequential(ConvBN(channels_in, channels, 3, stride), nn.ReLU(inplace=True), ConvBN(channels, channels, 3))
    return Residual(body, channels_in, channels, stride)


def bottleneck(channels_in: int, inner: tuple[int, int], channels: int, stride: int, dilation: int) -> Residual:
    """1x1, 3x3 (which carries the stride), which give ``inner`` channels, 1x1 to four times ``channels`` (tr50)."""
    body = nn.Sequential(
        ConvBN(channels_in, inner[0], 1),
        nn.ReLU(inplace=True),
        ConvBN(inner[0], inner[1], 3, stride, dilation),
        nn.ReLU(inplace=True),
        ConvBN(inner[1], 4 * channels, 1),
    )
    return Residual(body, channels_in, 4 * channels, stride)


def widened(channels: tuple[int, ...], width: float) -> tuple[int, ...]:
    """Channels at a width multiplier, in multiples of 4."""
    wide = tuple(round(c * width / 4) * 4 for c in channels)
    if min(wide) < 4:
        narrowest = 4 / min(channels)
        raise SpecError(f"width {width} leaves no channels; the narrowest network of this kind is width {narrowest}")
    return wide
