"""The images of a class, expert by expert, beside images of the classes that share the expert: what Figure 3 shows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from torch import Tensor

from repro.data.dataset import ImageDataset
from repro.method.intraclass import companions, shares_of_classes
from repro.randomness import generator
from repro.study.results import Picture, Table

EXPERTS_SHOWN = 3
SMALLEST_SHARE = 0.05
"""An expert with less of the class than this is not spoken of."""
OWN_TILES = 12
COMPANIONS = 4
TILES_EACH = 2

Cells = list[str | int | float | None]


def experts_with_most(counts: Tensor, label: int) -> list[int]:
    """The experts that have at least :data:`SMALLEST_SHARE` of a class, most of it first; at least one."""
    shares = shares_of_classes(counts)[label]
    order: list[int] = shares.argsort(descending=True, stable=True).tolist()
    return order[:1] + [k for k in order[1:] if shares[k] >= SMALLEST_SHARE]


def class_experts(images: ImageDataset, counts: Tensor, g0: Tensor, label: int) -> list[Cells]:
    """A row an expert: number (from 1), class, share in percent, images, who shares it, true modes (where known)."""
    shares = shares_of_classes(counts)[label]
    rows: list[Cells] = []
    for k in experts_with_most(counts, label):
        others = [
            f"{short(images.class_names[c])} ({counts[c, k]:.0f})" for c in companions(counts, label, k, COMPANIONS)
        ]
        members = images_of(images, g0, label, k)
        modes = None
        if images.modes is not None:
            seen = Counter(int(mode) for mode in images.modes[members]).most_common()
            modes = ", ".join(f"mode {mode} ({number})" for mode, number in seen)
        share, number = round(100 * float(shares[k]), 1), round(float(counts[label, k]))
        rows.append([k + 1, images.class_names[label], share, number, ", ".join(others), modes])
    return rows


def pictures_of(images: ImageDataset, counts: Tensor, g0: Tensor, label: int, seed: int) -> tuple[Table, Picture]:
    """Random images of the class, and of its companions, in each of the experts that have most of it.

    The table has a row a tile: expert (from 1), class, whether it is a companion's, true mode.
    """
    chosen: list[int] = []
    rows: list[Cells] = []
    for k in experts_with_most(counts, label)[:EXPERTS_SHOWN]:
        wanted = [(label, OWN_TILES)] + [(c, TILES_EACH) for c in companions(counts, label, k, COMPANIONS)]
        for c, number in wanted:
            members = images_of(images, g0, c, k)
            order = torch.randperm(len(members), generator=generator(seed, "tiles", k, c)).numpy()
            for index in members[order[:number]].tolist():
                mode = None if images.modes is None else int(images.modes[index])
                rows.append([k + 1, images.class_names[c], "own" if c == label else "companion", mode])
                chosen.append(index)
    table = Table(columns=["expert", "class", "kind", "mode"], rows=rows)
    return table, Picture.of(images.images[np.array(chosen, int)])


def images_of(images: ImageDataset, g0: Tensor, label: int, expert: int) -> np.ndarray:
    """The images of a class whose most likely expert this is."""
    return np.flatnonzero((images.labels == label) & (g0.argmax(1).numpy() == expert))


def short(name: str) -> str:
    """``n02056570 king penguin`` as ``king penguin``."""
    identity, _, word = name.partition(" ")
    return word if word and identity[1:].isdigit() else name
