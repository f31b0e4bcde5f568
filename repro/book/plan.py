"""The plan of runs at the paper's scale: what each costs on one GPU, counted beforehand.

Work is counted in exact multiply-adds (:mod:`repro.families.single_gate.steps`): three forward passes for a step of
training, the frozen trunk once for all experts, evaluation at half its count. What several runs share is trained by
the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from repro.exhibits import exhibit
from repro.report.tables import Captioned, frame
from repro.study.graph import Step, ordered
from repro.study.parameters import Parameters

CARD, PEAK = "H200", 989.5e12
"""Dense bf16 FLOP/s: NVIDIA's datasheet of the H200 (SXM) prints 1,979 TFLOP/s with sparsity, which is twice that."""

AIRBENCH = (32.3e15, 7 * 60.0, 312e12)
"""FLOP and seconds of "standard ResNet-18 training" in the table of airbench's README, and its A100's printed peak."""

SHARE = AIRBENCH[0] / AIRBENCH[1] / AIRBENCH[2]
"""Share of the peak that is assumed: that of airbench's ResNet-18, whose size and number of epochs are those of tr18.

Nothing says yet that this code reaches the same share on another card.
"""
FLOPS = 2  # of a multiply-add


class Run(NamedTuple):
    """One command of the plan: an exhibit on an image set with parameters, and what it is for."""

    exhibit: str
    dataset: str
    values: Mapping[str, Any]
    what: str

    @property
    def parameters(self) -> Parameters:
        return exhibit(self.exhibit).parameters.check(scale="paper", dataset=self.dataset, **self.values)

    @property
    def command(self) -> str:
        return f"uv run {self.parameters.command(self.exhibit)}"

    def steps(self) -> list[Step]:
        """Every artifact that it rests on."""
        return ordered(step for goal in self.parameters.goals() for step in goal.steps)


SEEDS = "0,1,2"
RUNS = (
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
"""In the order in which they are to be run."""


def new_work() -> Iterator[float]:
    """Multiply-adds of each run in turn; what an earlier one has trained is not trained again."""
    done: set[Step] = set()
    for run in RUNS:
        steps = run.steps()
        yield sum(step.work for step in steps if step not in done)
        done |= set(steps)


def minutes(macs: float) -> float:
    """How long multiply-adds take on the card at the assumed share of its peak."""
    return macs * FLOPS / (PEAK * SHARE) / 60


def plan_table() -> Captioned:
    """What each run costs, and its command."""
    work = list(new_work())
    columns = {
        "10¹⁵ MACs": [f"{macs / 1e15:.1f}" for macs in work],
        "expected": [_time(minutes(macs)) for macs in work],
        "command": [run.command for run in RUNS],
    }
    flop, seconds, peak = AIRBENCH
    caption = (
        f"Training that no earlier row has done, {_time(minutes(sum(work)))} in all, on a {CARD} at "
        f"{100 * SHARE:.0f} % of {PEAK / 1e12:.0f} TFLOP/s. That share is airbench's ResNet-18's: "
        f"{flop / 1e15:g} PFLOP in {_time(seconds / 60)} on an A100 "
        f"({peak / 1e12:.0f} TFLOP/s). What a run took stands with its record."
    )
    return Captioned(frame(columns, [f"{i}. {run.what}" for i, run in enumerate(RUNS, 1)]), caption)


def _time(value: float) -> str:
    """``2.3 min`` or ``1.5 h``."""
    return f"{value:.1f} min" if value < 90 else f"{value / 60:.1f} h"
