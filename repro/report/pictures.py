"""Small recorded images as readers see them: enlarged, blended with a class map, without axes."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import matplotlib as mpl
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from repro.analysis.chosen_experts import expert_maps
from repro.report.plots import PALETTE

MAP_COLOURS, DIFFERENCE_COLOURS = "inferno", "RdBu_r"
SIDE = 96
"""Pixels a side at which maps are drawn over images."""
EXPERT_COLOURS = (*PALETTE[:6], "#FFFFFF", "#000000")
"""Of experts in maps; with more than eight, several share one."""


def from_hex(text: str) -> np.ndarray:
    """A square map ``[h, h]`` in 0..1 from two hexadecimal digits a position, row by row."""
    values = np.frombuffer(bytes.fromhex(text), np.uint8).astype(np.float32) / 255
    side = round(len(values) ** 0.5)
    return values.reshape(side, side)


def blend(tile: np.ndarray, class_map: np.ndarray, side: int = SIDE) -> np.ndarray:
    """uint8 ``[side, side, 3]``: a tile ``[S, S, 3]`` in grey under a map ``[h, w]`` in 0..1, enlarged bilinearly."""
    large = F.interpolate(torch.from_numpy(class_map)[None, None], side, mode="bilinear", align_corners=False)
    colours = mpl.colormaps[MAP_COLOURS](large[0, 0].numpy())[..., :3]
    grey = enlarged(tile, side).mean(2, keepdims=True) / 255
    return (255 * (0.45 * grey + 0.55 * colours)).astype(np.uint8)


def difference(more: np.ndarray, less: np.ndarray, side: int = SIDE) -> np.ndarray:
    """uint8 ``[side, side, 3]``: one map ``[h, w]`` in 0..1 minus another, from -1 (blue) over 0 (white) to 1 (red)."""
    large = F.interpolate(torch.from_numpy(more - less)[None, None], side, mode="bilinear", align_corners=False)
    return (255 * mpl.colormaps[DIFFERENCE_COLOURS]((1 + large[0, 0].numpy()) / 2)[..., :3]).astype(np.uint8)


def enlarged(tile: np.ndarray, side: int) -> np.ndarray:
    """A tile ``[S, S, 3]`` with each pixel repeated, ``[side, side, 3]``."""
    index = np.arange(side) * len(tile) // side
    return tile[index][:, index]


def expert_tiles(images: np.ndarray, chosen: Sequence[Tensor], side: int) -> list[np.ndarray]:
    """Images ``[n, 3, S, S]``, then the first choice of their pixels in each mixture, a colour an expert.

    ``chosen`` is int64 ``[M, T, K]`` of each mixture, of which the first n count; each picture uint8 ``[n, side, side,
    3]``.
    """
    large = [np.stack([enlarged(image.transpose(1, 2, 0), side) for image in images])]
    colours_E3 = np.array([[round(255 * part) for part in mpl.colors.to_rgb(colour)] for colour in EXPERT_COLOURS])
    grey = large[0].mean(3, keepdims=True)
    for experts_MTK in chosen:
        colours = colours_E3[expert_maps(experts_MTK[: len(images)], side).numpy() % len(colours_E3)]
        large.append((0.45 * grey + 0.55 * colours).astype(np.uint8))
    return large


def show_tile(axes: Axes, tile: np.ndarray, title: str = "", below: str = "", frame: str | None = None) -> None:
    """A picture without axes; words above and below; a coloured frame."""
    axes.imshow(tile, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(frame is not None)
        if frame is not None:
            spine.set_edgecolor(frame)
            spine.set_linewidth(2)
    if title:
        axes.set_title(title, fontsize=9, loc="center")
    if below:
        axes.set_xlabel(below, fontsize=8, labelpad=2)


def close_together(figure: Figure) -> Figure:
    """Leave little room between pictures."""
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    return figure


def draw_box(axes: Axes, sides: Sequence[float], pixels: int) -> None:
    """A box (left, top, right, bottom in percent of the side) on a picture of ``pixels`` a side."""
    left, top, right, bottom = (side * pixels / 100 - 0.5 for side in sides)
    for colour, width in (("black", 2.6), ("white", 1.2)):
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, lw=width))


def strip(tiles: np.ndarray, labels: Sequence[str]) -> str:
    """HTML: small pictures in a row that wraps, uint8 ``[n, S, S, 3]``, with a label below each."""
    figures = ""
    for image, below in zip(tiles, labels, strict=True):
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(image)).save(file, "PNG")
        source = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
        about = f'width="80" alt="{escape(below) or "picture"}" style="image-rendering: pixelated"'
        picture = f'<img src="{source}" {about}>'
        figures += f'<figure style="margin: 0; width: 84px; font-size: 75%">{picture}<br>{escape(below)}</figure>'
    return f'<div style="display: flex; flex-wrap: wrap; gap: 6px">{figures}</div>'
