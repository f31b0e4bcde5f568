"""How focused a class map is, and whether it lies where the object is: plain arithmetic on maps.

A map that is zero everywhere (nothing in the image speaks for the class) says nothing about where: it counts as a
uniform one, with full spread and with the box's own share of the image inside the box; :func:`empty` tells how many.

Axes: N images, ... any axes between, h x w positions of the map, S pixels a side of the image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def empty(maps: Tensor) -> Tensor:
    """Whether a map ``[..., h, w]`` is zero everywhere, bool ``[...]``."""
    return maps.flatten(-2).sum(-1) == 0


def normalised(maps: Tensor) -> Tensor:
    """Maps ``[..., h, w]`` that sum to 1; an empty one is uniform."""
    filled = torch.where(empty(maps)[..., None, None], torch.ones_like(maps), maps)
    return filled / filled.sum((-2, -1), keepdim=True)


def stretched(maps: Tensor) -> Tensor:
    """Maps ``[..., h, w]`` from each one's own minimum to its maximum, 0 to 1: how pictures of them are drawn."""
    from_low = maps - maps.amin((-2, -1), keepdim=True)
    return from_low / (from_low.amax((-2, -1), keepdim=True) + 1e-7)


def spread(maps: Tensor) -> Tensor:
    """Share of the image that a map effectively covers, in percent, ``[...]``: exp(entropy) of ``h · w`` positions.

    A uniform map covers 100 %, one that stands at a single position ``100 / (h · w)`` %.
    """
    shares = normalised(maps).flatten(-2)
    return 100 * torch.special.entr(shares).sum(-1).exp() / shares.shape[-1]


def in_box(maps: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Share of a map ``[N, ..., h, w]`` inside the image's box ``[N, 4]``, in percent, ``[N, ...]``.

    The map is enlarged to ``size`` pixels bilinearly, as the pictures show it. Enlarging is linear in each
    direction, so the share follows from the small map and how much each of its positions adds inside the box.
    """
    up, across = (_enlarge(side, size) for side in maps.shape[-2:])  # [S, h], [S, w]
    rows, columns = _cover(boxes[:, 1], boxes[:, 3], size), _cover(boxes[:, 0], boxes[:, 2], size)  # [N, S]
    shares = normalised(maps)
    inside = torch.einsum("n...hw,nh,nw->n...", shares, rows @ up, columns @ across)
    whole = torch.einsum("n...hw,h,w->n...", shares, up.sum(0), across.sum(0))
    uniform = box_share(boxes, size).reshape(-1, *(1 for _ in inside.shape[1:]))
    return torch.where(empty(maps), uniform, 100 * inside / whole)


def hits_box(maps: Tensor, boxes: Tensor, size: int) -> Tensor:
    """The pointing game: 100 where the centre of the map's strongest position lies in the box, else 0, ``[N, ...]``.

    An empty map points nowhere and scores what a random place would: the box's share of the image.
    """
    height, width = maps.shape[-2:]
    best = maps.flatten(-2).argmax(-1)
    y, x = (best // width + 0.5) * size / height, (best % width + 0.5) * size / width
    left, top, right, bottom = (b.reshape(-1, *(1 for _ in best.shape[1:])) for b in boxes.T)
    hit = (left <= x) & (x < right) & (top <= y) & (y < bottom)
    uniform = box_share(boxes, size).reshape(-1, *(1 for _ in best.shape[1:]))
    return torch.where(empty(maps), uniform, 100.0 * hit)


def box_share(boxes: Tensor, size: int) -> Tensor:
    """Share of the image that a box ``[N, 4]`` takes, in percent, ``[N]``: what a uniform map has inside."""
    return 100 * (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / size**2


def _enlarge(side: int, size: int) -> Tensor:
    """``[size, side]``: what each position adds to each pixel when ``side`` positions are enlarged bilinearly."""
    unit = torch.eye(side)[:, None]  # [side, 1, side]
    return F.interpolate(unit, size, mode="linear", align_corners=False)[:, 0].T


def _cover(low: Tensor, high: Tensor, size: int) -> Tensor:
    """How much of each pixel ``[N, size]`` lies between ``low`` and ``high`` ``[N]``; a box may end within one."""
    pixel = torch.arange(size, dtype=torch.float32)
    return (torch.minimum(high[:, None], pixel + 1) - torch.maximum(low[:, None], pixel)).clamp(min=0)


def selected_and_others(values: Tensor, selected: Tensor) -> tuple[Tensor, Tensor]:
    """Of values ``[N, K]``, a column an expert: the selected expert's, and the mean over all others, ``[N]`` each.

    With a single expert there are no others: they come back empty, ``[0]``.
    """
    own = values.gather(1, selected[:, None])[:, 0]
    count = values.shape[1]
    return own, (values.sum(1) - own) / (count - 1) if count > 1 else values.new_empty(0)


def wins(values: Tensor, selected: Tensor) -> float | None:
    """How often the selected expert's value exceeds another's, in percent of all images and other experts.

    Values ``[N, K]``; a tie counts half, so 50 is no difference. ``None`` with a single expert.
    """
    count = values.shape[1]
    if count < 2:
        return None
    own = values.gather(1, selected[:, None])
    better = (own > values).double() + 0.5 * (own == values).double()  # against itself: a tie, taken out below
    return 100 * float((better.sum(1) - 0.5).mean()) / (count - 1)
