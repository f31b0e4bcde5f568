"""Augmentation, batched on the device; every random number is a pure function of (seed, epoch, image).

What is drawn for an epoch is a table with one row an *image* (not a position in some order), so an
image looks the same in that epoch to every expert that trains on it, alone or beside others.
Axes: N images of the set, B images of a batch, S pixels a side.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from repro.errors import Frozen
from repro.randomness import generator


class Augmentation(Frozen):
    """What is done to a training image, in this order: crop, flip, normalise, Cutout."""

    crop: Literal["none", "pad", "resized"] = Field("none", description="pad: pad and crop; resized: RandomResizedCrop")
    pad: int = Field(4, ge=0, le=16, description="pixels of zeros (black) on each side, for crop='pad'")
    min_area: float = Field(0.08, gt=0, le=1, description="smallest share of the image's area, for crop='resized'")
    flip: bool = Field(False, description="mirror left-right with probability 1/2")
    cutout: int = Field(0, ge=0, description="side of one square of zeros after normalisation, in pixels; 0: none")


class Draws(NamedTuple):
    """One epoch's random numbers: a row for each of N images.

    box     crop='resized': ``[N, 4]`` float: area share, log aspect ratio, u_top, u_left (each u in [0, 1))
    offset  crop='pad': ``[N, 2]`` int: top, left in [0, 2 pad]
    flip    ``[N]`` bool
    hole    ``[N, 2]`` int: centre of the Cutout square
    """

    box: Tensor
    offset: Tensor
    flip: Tensor
    hole: Tensor

    def rows(self, indices: Tensor) -> Draws:
        return Draws(*(table[indices] for table in self))


def draw_epoch(augmentation: Augmentation, num_images: int, size: int, seed: int, epoch: int) -> Draws:
    """The table of ``epoch`` for N images of side ``size``; drawn on the CPU, one transfer an epoch."""
    g = generator(seed, "augmentation", epoch)
    low, high = augmentation.min_area, 1.0
    area = low + (high - low) * torch.rand(num_images, generator=g)
    log_ratio = (torch.rand(num_images, generator=g) * 2 - 1) * torch.log(torch.tensor(4 / 3))
    places = torch.rand(num_images, 2, generator=g)
    return Draws(
        box=torch.cat([torch.stack([area, log_ratio], 1), places], 1),
        offset=torch.randint(0, 2 * augmentation.pad + 1, (num_images, 2), generator=g),
        flip=torch.rand(num_images, generator=g) < 0.5,
        hole=torch.randint(0, size, (num_images, 2), generator=g),
    )


def pad_crop(padded: Tensor, indices: Tensor, offset: Tensor, size: int) -> Tensor:
    """Crops ``[B, 3, S, S]`` (channels last in memory) of ``padded`` uint8 ``[N, P, P, 3]`` at ``offset`` ``[B, 2]``.

    Every possible crop is a view of the padded images, so taking one is a single gather.
    """
    n, side, _, channels = padded.shape
    moves = side - size + 1
    sn, sy, sx, sc = padded.stride()
    crops = padded.as_strided((n, moves, moves, size, size, channels), (sn, sy, sx, sy, sx, sc))
    return crops[indices, offset[:, 0], offset[:, 1]].permute(0, 3, 1, 2)


def resized_crop_boxes(box: Tensor) -> tuple[Tensor, Tensor]:
    """torchvision's RandomResizedCrop geometry on square images: size ``[B, 2]`` and top-left ``[B, 2]`` in [0, 1].

    A drawn box that does not fit is clipped to the image (torchvision draws again, up to ten times).
    """
    ratio = box[:, 1].exp()
    height = (box[:, 0] / ratio).sqrt().clamp(max=1)
    width = (box[:, 0] * ratio).sqrt().clamp(max=1)
    extent = torch.stack([height, width], 1)
    return extent, box[:, 2:] * (1 - extent)


def resized_crop(images: Tensor, box: Tensor, size: int) -> Tensor:
    """Bicubic crops ``[B, 3, size, size]`` of float ``images`` ``[B, 3, S, S]``, enlarged to ``size``."""
    extent, corner = resized_crop_boxes(box)
    theta = images.new_zeros(len(images), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = extent[:, 1], extent[:, 0]  # grid_sample's x comes first
    theta[:, 0, 2] = 2 * corner[:, 1] + extent[:, 1] - 1
    theta[:, 1, 2] = 2 * corner[:, 0] + extent[:, 0] - 1
    grid = F.affine_grid(theta, [len(images), 3, size, size], align_corners=False)
    return F.grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=False).clamp(0, 255)


def flip_some(images: Tensor, flip: Tensor) -> Tensor:
    """Mirror those of ``images`` ``[B, 3, S, S]`` whose ``flip`` ``[B]`` is set."""
    return torch.where(flip[:, None, None, None], images.flip(-1), images)


def cutout(images: Tensor, hole: Tensor, side: int, value: float = 0.0) -> Tensor:
    """Fill, in place, a square around ``hole`` ``[B, 2]``, clipped at the borders (DeVries & Taylor 2017)."""
    position = torch.arange(images.shape[-1], device=images.device)
    first = hole - side // 2  # [B, 2]
    inside = (position >= first[..., None]) & (position < first[..., None] + side)  # [B, 2, S]
    return images.masked_fill_((inside[:, 0, :, None] & inside[:, 1, None, :])[:, None], value)
