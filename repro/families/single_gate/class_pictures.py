"""The images of a class, expert by expert, beside images of the classes that share the expert: what Figure 3 shows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from torch import Tensor

from repro.analysis.specialisation import class_counts, companions, effective_number, shares_of_classes
from repro.data.dataset import ImageDataset
from repro.randomness import generator
from repro.study.picture import Picture
from repro.study.results import Table

EXPERTS = 3
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


def pictures_of(images: ImageDataset, counts: Tensor, g0: Tensor, label: int, seed: int) -> tuple[Table, Picture]:
    """Random images of the class, and of its companions, in each of the experts that have most of it.

    The table has a row a tile: expert (from 1), class, whether it is a companion's, true mode.
    """
    chosen: list[int] = []
    rows: list[Cells] = []
    for k in experts_with_most(counts, label)[:EXPERTS]:
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
    identity, _, plain_name = name.partition(" ")
    return plain_name if plain_name and identity[1:].isdigit() else name


def counts_of(images: ImageDataset, g0: Tensor) -> Tensor:
    """Images of each class in each expert, ``[C, K]``."""
    return class_counts(g0, torch.from_numpy(np.array(images.labels)), images.num_classes)


def counts_of_classes(images: ImageDataset, g0: Tensor) -> Table:
    """Training images of every class in every expert, of the seed and number of experts that are pictured."""
    counts = counts_of(images, g0)
    columns = ["class", *(f"expert {k + 1}" for k in range(counts.shape[1]))]
    rows = [[name, *(round(n) for n in row)] for name, row in zip(images.class_names, counts.tolist(), strict=True)]
    return Table(columns=columns, rows=rows)


def ranking(images: ImageDataset, gates: dict[tuple[int, int], Tensor]) -> Table:
    """Every class by how split it is: effective experts and the largest share in percent, means over the seeds."""
    rows: list[Cells] = []
    for k in sorted({k for k, _ in gates}):
        each = [counts_of(images, g0) for (experts, _), g0 in gates.items() if experts == k]
        effective = torch.stack([effective_number(counts) for counts in each]).mean(0)
        largest = 100 * torch.stack([shares_of_classes(counts).amax(1) for counts in each]).mean(0)
        for label in effective.argsort(descending=True, stable=True).tolist():
            name = images.class_names[label]
            rows.append([k, name, round(float(effective[label]), 2), round(float(largest[label]), 1)])
    return Table(columns=["experts", "class", "effective", "largest"], rows=rows)


def experts_of_class(images: ImageDataset, label: int, gates: dict[tuple[int, int], Tensor]) -> Table:
    """The experts that take most of the class, with who shares them and its true modes (where known).

    For every number of experts and seed.
    """
    rows: list[Cells] = []
    for (number, seed), g0 in sorted(gates.items()):
        counts = counts_of(images, g0)
        shares = shares_of_classes(counts)[label]
        for k in experts_with_most(counts, label):
            others = companions(counts, label, k, COMPANIONS)
            shared = ", ".join(f"{short(images.class_names[c])} ({counts[c, k]:.0f})" for c in others)
            modes = None
            if images.modes is not None:
                seen = Counter(images.modes[images_of(images, g0, label, k)].tolist()).most_common()
                modes = ", ".join(f"mode {mode} ({count})" for mode, count in seen)
            share, count = round(100 * float(shares[k]), 1), round(float(counts[label, k]))
            rows.append([number, seed, k + 1, images.class_names[label], share, count, shared, modes])
    columns = ["experts", "seed", "expert", "class", "share", "images", "shared with", "modes"]
    return Table(columns=columns, rows=rows)
