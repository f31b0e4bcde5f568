"""The plan of runs at the papers' width: what each costs on one GPU, counted beforehand.

Work is counted in exact multiply-adds (:mod:`repro.families.single_gate.steps`): three forward passes for a step of
training, the frozen trunk once for all experts, evaluation at half its count. What several runs share is trained by
the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from repro.exhibits import exhibit
from repro.report.tables import Captioned, frame
from repro.study.benchmarks import load_performance
from repro.study.graph import Step, ordered
from repro.study.parameters import Parameters
from repro.study.places import results_folder

CARD, PEAK = "H200", 989.5e12
"""Dense bf16 FLOP/s: NVIDIA's datasheet of the H200 (SXM) prints 1,979 TFLOP/s with sparsity, which is twice that."""

AIRBENCH = (32.3e15, 7 * 60.0, 312e12)
"""FLOP and seconds of "standard ResNet-18 training" in the table of airbench's README, and its A100's printed peak.

Its size and number of epochs are those of tr18 at the paper's scale.
"""

SITTING = "One sitting"
"""The table of ``benchmarks/one_sitting.py``."""
FLOPS = 2  # of a multiply-add
UNTRAINED = Path("nothing-trained")
"""A root that is not there: the plan is the same wherever it is made, whatever a store of that machine holds."""


class Share(NamedTuple):
    """A share of a card's printed peak, and whose it is."""

    value: float
    source: str


def share() -> Share:
    """The share of the peak that is assumed: that of the recorded sitting, whose processes shared one card.

    It holds all that a sitting has besides training: compiling, K-means, reading, writing. Where there is no such
    record it is airbench's, which has none of that and is another card's.
    """
    sitting = load_performance(results_folder() / "performance", "one_sitting")
    if sitting is None:
        flop, seconds, peak = AIRBENCH
        return Share(flop / seconds / peak, "airbench's ResNet-18's, as no sitting is recorded")
    (row,) = sitting.tables[SITTING].rows
    of = dict(zip(sitting.tables[SITTING].columns, row, strict=True))
    percent = of["% of peak"]
    assert isinstance(percent, (int, float)), "a sitting without a card is quick, and so no record"
    where = f"{of['exhibit']} at {of['scale']} scale, all that it did besides training counted in"
    source = f"that of the recorded sitting of {where}; {of['processes']} processes shared its card"
    return Share(percent / 100, f"{source} (-p executor processes:{of['processes']})")


class Run(NamedTuple):
    """One command of the plan: an exhibit on an image set at a scale with parameters, and what it is for."""

    exhibit: str
    dataset: str
    values: Mapping[str, Any]
    what: str
    scale: str = "paper"

    def __hash__(self) -> int:
        return hash((self.exhibit, self.dataset, self.what, self.scale))  # values are a mapping, which has none

    @property
    def parameters(self) -> Parameters:
        values = {"scale": self.scale, "dataset": self.dataset, "root": UNTRAINED, **self.values}
        return exhibit(self.exhibit).parameters(**values)

    @property
    def command(self) -> str:
        return f"uv run {self.parameters.command(self.exhibit)}"

    def steps(self) -> list[Step]:
        """Every artifact that it rests on, as far as that is known before anything is trained."""
        return ordered(step for goal in self.parameters.goals() for step in goal.steps)


SEEDS = "0,1,2"
_AT_GPU = partial(Run, scale="gpu")
GPU = (
    _AT_GPU("table2_num_experts", "cifar100", {"seeds": SEEDS, "experts": "20,1", "controls": "20"},
            "tr18-tr18 with 20 experts and one, and controls: the recorded sitting"),
    _AT_GPU("table1_main", "cifar100", {"pairs": "tr10-tr10,tr18-tr10,tr34-tr10"},
            "three other pairs and their controls, tr34 and tr50 alone, seed 0"),
    _AT_GPU("figure2_anytime", "cifar100", {"pairs": "tr10-tr10,tr18-tr10,tr34-tr10"},
            "their any-time curves, seed 0"),
    _AT_GPU("table1_main", "cifar100", {"seeds": SEEDS}, "all five pairs, seeds 1 and 2 as well"),
    _AT_GPU("figure2_anytime", "cifar100",
            {"seeds": SEEDS, "pairs": "tr10-tr10,tr10-tr18,tr18-tr10,tr18-tr18,tr34-tr10"},
            "the envelope over all pairs, seeds 1 and 2 as well"),
    _AT_GPU("table2_num_experts", "tiny-imagenet", {"experts": "20,1", "controls": "20"},
            "64 pixels: tr18-tr18 with 20 experts and one, and controls, seed 0"),
    _AT_GPU("table6_ensemblers", "tiny-imagenet", {}, "64 pixels: ensemblers of tr10-tr10 with 20 experts, seed 0"),
    _AT_GPU("table5_per_class", "tiny-imagenet", {"experts": 20},
            "64 pixels: images or classes as what is routed, seed 0"),
    _AT_GPU("figure3_king_penguin", "tiny-imagenet", {"experts": "20"},
            "64 pixels: how a class splits: all is trained"),
    _AT_GPU("figure1_gradcam", "tiny-imagenet", {}, "64 pixels: what the selected expert looks at: all is trained"),
    _AT_GPU("deepmoe_table2_cifar", "cifar100", {"epochs": 100}, "DeepMoE on ResNet-56 in 100 epochs, seed 0"),
    _AT_GPU("deepmoe_table2_cifar", "cifar100", {"epochs": 100, "backbone": "resnet110"},
            "DeepMoE on ResNet-110 in 100 epochs, seed 0"),
    _AT_GPU("deepmoe_table2_cifar", "cifar100", {"backbone": "vgg16"}, "DeepMoE on VGG16, seed 0"),
    _AT_GPU("deepmoe_table2_cifar", "cifar100",
            {"epochs": 100, "beside": "VGG16 W1-High,VGG16 W1-Mid,VGG16 W4-Low,VGG16 W13-All"},
            "beside ResNet-56, VGG16 widened in all layers or in some (DM6), seed 0"),
    _AT_GPU("sparse_placement", "cifar100", {"placements": "none,last-2"},
            "a small ConvNeXt (d = 64, 128, 256), dense, with Last 2, and dense with as many parameters, seed 0"),
    _AT_GPU("sparse_placement", "cifar100", {"network": "vit-micro", "placements": "none,last-2"},
            "the same of a small ViT (d = 192), seed 0"),
    _AT_GPU("three_families", "cifar100", {"budgets": "middle", "elsewhere": 0},
            "the three families at the middle budget, with their trials, seed 0"),
    _AT_GPU("three_families", "cifar100", {"budgets": "middle", "elsewhere": 0, "seeds": SEEDS},
            "the three families, seeds 1 and 2 as well"),
)  # fmt: skip
"""The papers' questions at full width in one short cycle: minutes a seed."""

PAPER = (
    Run("table2_num_experts", "cifar100", {"controls": "none"}, "tr18-tr18 with 1, 5, 10, 20 experts, seed 0"),
    Run("table2_num_experts", "cifar100", {}, "the same, and its controls"),
    Run("table2_num_experts", "cifar100", {"seeds": SEEDS}, "the same, seeds 1 and 2 as well"),
    Run("figure2_anytime", "cifar100", {"seeds": SEEDS, "pairs": "tr18-tr18", "baselines": "tr18-tr18"},
        "the any-time curve of tr18-tr18: all is trained"),
    Run("table1_main", "cifar100", {"seeds": SEEDS, "controls": "tr18-tr10"},
        "the other pairs, tr10, tr34 and tr50 alone, and tr18 trained as long as tr18-tr10"),
    Run("figure2_anytime", "cifar100", {"seeds": SEEDS, "pairs": "tr10-tr10,tr10-tr18,tr18-tr10,tr18-tr18"},
        "the envelope over the pairs"),
    Run("table2_num_experts", "tiny-imagenet", {"experts": "10,20"}, "tr18-tr18 with 10 and 20 experts, seed 0"),
    Run("table5_per_class", "tiny-imagenet", {}, "images or classes as what is routed, 10 experts"),
    Run("table6_ensemblers", "tiny-imagenet", {"pairs": "tr18-tr18", "training": "tr18-tr18"}, "ensemblers"),
    Run("figure3_king_penguin", "tiny-imagenet", {}, "how a class splits: all is trained"),
    Run("figure1_gradcam", "tiny-imagenet", {"experts": "20"}, "what the selected expert looks at: all is trained"),
    Run("table1_main", "tiny-imagenet", {"pairs": "tr10-tr10", "backbones": "none"}, "tr10-tr10 with 20 experts"),
)  # fmt: skip
RUNS = (*GPU, *PAPER)
"""In the order in which they are to be run."""


@cache
def new_work(runs: tuple[Run, ...] = RUNS) -> tuple[float, ...]:
    """Multiply-adds of each run in turn; what an earlier one has trained is not trained again."""
    done: set[Step] = set()
    work = []
    for run in runs:
        steps = run.steps()
        work.append(sum(step.work for step in steps if step not in done))
        done |= set(steps)
    return tuple(work)


def minutes(macs: float) -> float:
    """How long multiply-adds take on the card at the assumed share of its peak."""
    return macs * FLOPS / (PEAK * share().value) / 60


def plan_table(runs: tuple[Run, ...] = RUNS) -> Captioned:
    """What each run costs, and its command."""
    work = new_work(runs)
    columns = {
        "scale": [run.scale for run in runs],
        "10¹⁵ MACs": [f"{macs / 1e15:.1f}" for macs in work],
        "expected": [_time(minutes(macs)) for macs in work],
        "command": [run.command for run in runs],
    }
    flop, seconds, peak = AIRBENCH
    sums = [_time(minutes(sum(x for x, run in zip(work, runs, strict=True) if run.scale == scale)))
            for scale in ("gpu", "paper")]  # fmt: skip
    caption = (
        f"Training that no earlier row has done, {sums[0]} at gpu scale and {sums[1]} at paper scale, on a {CARD} at "
        f"{100 * share().value:.3g} % of {PEAK / 1e12:.0f} TFLOP/s. That share is {share().source}. airbench's "
        f"ResNet-18 reaches {100 * flop / seconds / peak:.0f} %: {flop / 1e15:g} PFLOP in {_time(seconds / 60)} on an "
        f"A100 ({peak / 1e12:.0f} TFLOP/s). Plain networks that a DeepMoE is held against follow from what its gates "
        "come to cost, and are not counted. What a run took stands with its record."
    )
    return Captioned(frame(columns, [f"{i}. {run.what}" for i, run in enumerate(runs, 1)]), caption)


def _time(value: float) -> str:
    """``2.3 min`` or ``1.5 h``."""
    return f"{value:.1f} min" if value < 90 else f"{value / 60:.1f} h"
