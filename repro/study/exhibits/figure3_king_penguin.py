"""Figure 3, "per-sample routing uncovers meaningful intra-class modes": how a class splits, and who shares its experts.

Splits are those of the training images by the initial gate g0, which the experts are trained on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from pydantic import Field

from repro.data.dataset import ImageDataset
from repro.errors import SpecError
from repro.method.intraclass import (
    agreement_within_class,
    agreement_within_classes,
    class_counts,
    confused_classes_share_the_expert,
    effective_experts,
    explained,
    explained_by_chance,
    shares_of_classes,
)
from repro.study.class_pictures import class_experts, pictures_of
from repro.study.lists import Ascending
from repro.study.parameters import Parameters
from repro.study.record import measured, open_study, record
from repro.study.results import Measurement, Picture, StudyResult, Table
from repro.study.spec import StudySpec

NAME = "figure3_king_penguin"
KING_PENGUIN = "n02056570"


class Figure3Parameters(Parameters):
    """The common ones, which class, and how many experts."""

    experts: Ascending = Field((10, 20), description="numbers of experts K, e.g. 10,20; the largest is pictured")
    class_name: str = Field(
        "", description="class id or name, e.g. n02056570 or king penguin; empty: that one, or the most split class"
    )

    def specs(self) -> list[StudySpec]:
        """The spec of every seed and number of experts, seed by seed."""
        return [spec.with_(num_experts=k) for spec in super().specs() for k in self.experts]


def figure3(parameters: Figure3Parameters) -> StudyResult:
    """See how classes split, and write the record.

    The pictures are of the first seed and the largest number of experts.
    """
    study = open_study(parameters)
    specs = study.specs
    images = study.sources.images(specs[0], "train")  # first of all: not every set fits in memory
    label = named_class(parameters.class_name, images) if parameters.class_name else None
    measurements: list[Measurement] = []
    gates: dict[tuple[int, int], torch.Tensor] = {}
    for spec in specs:
        outputs = study.run(spec)
        gates[spec.num_experts, spec.seed] = study.assignment(spec)
        shares = shares_of_classes(counts_of(images, gates[spec.num_experts, spec.seed]))
        if mistakes := confused_classes_share_the_expert(outputs, shares):
            measurements += [
                measured(spec, method, value, "confused")
                for method, value in zip(("expert", "chance"), mistakes, strict=True)
            ]
    pictured = gates[parameters.experts[-1], parameters.seeds[0]]
    if label is None:
        label = default_class(images, pictured)
    for spec in specs:
        measurements += measure(spec, images, label, gates[spec.num_experts, spec.seed])
    measurements += agreements(specs, images, label, gates)
    tiles, pictures = pictures_of(images, counts_of(images, pictured), pictured, label, parameters.seeds[0])
    tables = {
        "ranking": ranking(images, gates),
        "experts": experts_of_class(images, label, gates),
        "counts": counts_of_classes(images, pictured),
        "tiles": tiles,
    }
    shown: dict[str, Picture] = {"tiles": pictures}
    return record(NAME, parameters, study, measurements, tables=tables, pictures=shown)


def named_class(name: str, images: ImageDataset) -> int:
    """The label of a class by its id, its name or both; :class:`SpecError` if there is none."""
    for label, known in enumerate(images.class_names):
        identity, _, word = known.partition(" ")
        if name in (known, identity, word):
            return label
    some = ", ".join(images.class_names[:3])
    raise SpecError(f"class_name: {images.name} has no class {name!r}; its names are such as {some}")


def default_class(images: ImageDataset, g0: torch.Tensor) -> int:
    """The king penguin, where the set has it; else the class that is split most."""
    if any(name.startswith(KING_PENGUIN) for name in images.class_names):
        return named_class(KING_PENGUIN, images)
    return int(effective_experts(shares_of_classes(counts_of(images, g0))).argmax())


def counts_of(images: ImageDataset, g0: torch.Tensor) -> torch.Tensor:
    """Images of each class in each expert, ``[C, K]``."""
    return class_counts(g0, torch.from_numpy(np.array(images.labels)), images.num_classes)


def measure(spec: StudySpec, images: ImageDataset, label: int, g0: torch.Tensor) -> Iterator[Measurement]:
    """Of the pictured class (method ``class``) and of the mean class (``classes``): how split, and how real that is."""
    experts = effective_experts(shares_of_classes(counts_of(images, g0)))
    yield measured(spec, "class", float(experts[label]), "effective")
    yield measured(spec, "classes", float(experts.mean()), "effective")
    group = g0.argmax(1).numpy()
    between, chance = pixels_explained(images, group)
    if split := [c for c, value in between.items() if value is not None]:
        yield measured(spec, "classes", math.fsum(between[c] or 0.0 for c in split) / len(split), "pixels")
        yield measured(spec, "classes by chance", math.fsum(chance[c] for c in split) / len(split), "pixels")
    if (own := between[label]) is not None:
        yield measured(spec, "class", own, "pixels")
        yield measured(spec, "class by chance", chance[label], "pixels")
    if images.modes is not None:
        for method, value in (
            ("class", agreement_within_class(group, images.modes, images.labels, label)),
            ("classes", agreement_within_classes(group, images.modes, images.labels)),
        ):
            if value is not None:
                yield measured(spec, method, value, "modes")


def pixels_explained(images: ImageDataset, group: np.ndarray) -> tuple[dict[int, float | None], dict[int, float]]:
    """Percent of each class's pixel variance that its split explains (None: not split), and by chance.

    Pixels, since the embeddings are what the split was made in: there it could not fail.
    """
    between: dict[int, float | None] = {}
    chance: dict[int, float] = {}
    for label in range(images.num_classes):
        members = np.flatnonzero(images.labels == label)
        own = group[members]
        is_split = len(np.unique(own)) > 1
        between[label] = explained(images.images[members].reshape(len(members), -1), own) if is_split else None
        chance[label] = explained_by_chance(own) if is_split else 0.0
    return between, chance


def agreements(
    specs: list[StudySpec], images: ImageDataset, label: int, gates: dict[tuple[int, int], torch.Tensor]
) -> Iterator[Measurement]:
    """Whether the next seed's base, trained anew, splits classes alike; one seed has nobody to agree with."""
    seeds = list(dict.fromkeys(spec.seed for spec in specs))
    following = dict(zip(seeds, seeds[1:] + seeds[:1], strict=True))
    for spec in specs:
        if (other := following[spec.seed]) == spec.seed:
            continue
        one, two = (gates[spec.num_experts, seed].argmax(1).numpy() for seed in (spec.seed, other))
        for method, value in (
            ("class", agreement_within_class(one, two, images.labels, label)),
            ("classes", agreement_within_classes(one, two, images.labels)),
        ):
            if value is not None:
                yield measured(spec, method, value, "agreement")


def counts_of_classes(images: ImageDataset, g0: torch.Tensor) -> Table:
    """Training images of every class in every expert, of the seed and number of experts that are pictured."""
    counts = counts_of(images, g0)
    columns = ["class", *(f"expert {k + 1}" for k in range(counts.shape[1]))]
    rows = [[name, *(round(n) for n in row)] for name, row in zip(images.class_names, counts.tolist(), strict=True)]
    return Table(columns=columns, rows=rows)


def ranking(images: ImageDataset, gates: dict[tuple[int, int], torch.Tensor]) -> Table:
    """Every class by how split it is: effective experts and the largest share in percent, means over the seeds."""
    rows: list[list[str | int | float | None]] = []
    for k in sorted({k for k, _ in gates}):
        each = [shares_of_classes(counts_of(images, g0)) for (experts, _), g0 in gates.items() if experts == k]
        effective = torch.stack([effective_experts(shares) for shares in each]).mean(0)
        largest = 100 * torch.stack([shares.amax(1) for shares in each]).mean(0)
        for label in effective.argsort(descending=True, stable=True).tolist():
            name = images.class_names[label]
            rows.append([k, name, round(float(effective[label]), 2), round(float(largest[label]), 1)])
    return Table(columns=["experts", "class", "effective", "largest"], rows=rows)


def experts_of_class(images: ImageDataset, label: int, gates: dict[tuple[int, int], torch.Tensor]) -> Table:
    """The experts that take most of the class, with who shares them, for every number of experts and seed."""
    rows: list[list[str | int | float | None]] = []
    for (k, seed), g0 in sorted(gates.items()):
        rows += [[k, seed, *row] for row in class_experts(images, counts_of(images, g0), g0, label)]
    columns = ["experts", "seed", "expert", "class", "share", "images", "shared with", "modes"]
    return Table(columns=columns, rows=rows)
