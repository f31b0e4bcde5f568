"""Three families of mixtures on the same images, augmentation, seeds and budgets, against plain networks.

A budget is a number of inference multiply-adds (MACs) of an image. Each family makes a model for each budget; a plain
network of its body is then given as many inference MACs (a curve over widths, interpolated in log MACs), at least as
many training MACs as well (whole epochs, rounded up), as many parameters in all, or comes in two that are averaged.
MACs of training are counted an image of the training set, over all epochs; three forward passes a step.
"""

from __future__ import annotations

from repro.exhibits.three_families.asked import ThreeFamiliesParameters
from repro.exhibits.three_families.families import NAME
from repro.exhibits.three_families.figures import figures
from repro.exhibits.three_families.run import three_families
from repro.exhibits.three_families.together import together
from repro.exhibits.three_families.verdicts import CLAIMS, read, tables
from repro.report.exhibit import Exhibit

EXHIBIT = Exhibit(
    NAME, "Three families: which mixture, at equal compute?", ThreeFamiliesParameters, three_families, tables,
    CLAIMS, figures=figures, advice=read, together=together,
)  # fmt: skip
