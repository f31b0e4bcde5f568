"""The plan of runs at the paper's scale: what each costs on one GPU, counted beforehand, and what it took.

Work is counted in exact multiply-adds (:mod:`repro.families.single_gate.steps`): three forward passes for a step of
training, the frozen trunk once for all experts, evaluation at half its count. What several runs share is trained by
the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from repro.families.single_gate.scales import CUTOUT, OPENMIXUP
from repro.models.cost import model_cost
from repro.report.exhibits import exhibit
from repro.report.numbers import NONE
from repro.report.tables import Shown, frame
from repro.study.graph import BACKWARD, Step, ordered
from repro.study.parameters import Parameters
from repro.study.results import load_result

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
    """One command of the plan: an exhibit on an image set with parameters, and the minutes that are aimed at."""

    exhibit: str
    dataset: str
    values: Mapping[str, Any]
    what: str
    goal: float | None = None

    @property
    def parameters(self) -> Parameters:
        """Its parameters, checked."""
        return exhibit(self.exhibit).parameters.check(scale="paper", dataset=self.dataset, **self.values)

    @property
    def command(self) -> str:
        """What to type."""
        return f"uv run {self.parameters.command(self.exhibit)}"

    def steps(self) -> list[Step]:
        """Every artifact that it rests on."""
        wanted = self.parameters.goals()
        return ordered(step for goal in wanted for step in goal.steps)


SEEDS = "0,1,2"
RUNS = (
    Run("table2_num_experts", "cifar100", {"controls": "none"}, "tr18-tr18 with 1, 5, 10, 20 experts, seed 0", goal=10),
    Run("table2_num_experts", "cifar100", {}, "the same, and its controls"),
    Run("table2_num_experts", "cifar100", {"seeds": SEEDS}, "the same, seeds 1 and 2 as well"),
    Run("figure2_anytime", "cifar100", {"seeds": SEEDS, "pairs": "tr18-tr18", "baselines": "tr18-tr18"},
        "the any-time curve of tr18-tr18: all is trained"),
    Run("table1_main", "cifar100", {"seeds": SEEDS}, "the other pairs, and tr10, tr34 and tr50 alone"),
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


class Row(NamedTuple):
    """A run and its cost: multiply-adds that are new with it, and all that it rests on."""

    run: Run
    new: float
    whole: float


def rows() -> Iterator[Row]:
    """The plan; what an earlier run has trained is not trained again."""
    done: set[Step] = set()
    for run in RUNS:
        steps = run.steps()
        new = sum(step.work for step in steps if step not in done)
        done |= set(steps)
        yield Row(run, new, sum(step.work for step in steps))


def minutes(macs: float, share: float = SHARE) -> float:
    """How long multiply-adds take on the card at a share of its peak."""
    return macs * FLOPS / (PEAK * share) / 60


def share_of_peak(macs: float, within: float) -> float:
    """The share of the card's peak that it takes to do multiply-adds within so many minutes."""
    return minutes(macs, share=1.0) / within


def measured(run: Run, results: Path) -> float | None:
    """The recorded minutes of a run with these seeds, of everything that it rests on; None if it is not recorded."""
    path = results / f"{run.exhibit}-{run.dataset}-paper.json"
    if not path.exists():
        return None
    result = load_result(path)
    same = set(result.seeds) == set(run.parameters.seeds) and result.provenance.command == run.command[len("uv run ") :]
    return result.provenance.seconds / 60 if same else None


def plan_table(results: Path) -> Shown:
    """The plan as a table, with what was recorded."""
    found = list(rows())
    took = [measured(row.run, results) for row in found]
    columns = {
        "10¹⁵ MACs": [f"{row.new / 1e15:.1f}" for row in found],
        "expected": [_time(minutes(row.new)) for row in found],
        "with what it shares": [_time(minutes(row.whole)) for row in found],
        "measured": ["not run" if each is None else _time(each) for each in took],
        "share of peak": [
            NONE if each is None else f"{100 * share_of_peak(row.whole, each):.0f} %"
            for row, each in zip(found, took, strict=True)
        ],
    }
    total = _time(minutes(sum(row.new for row in found)))
    caption = (
        f"One {CARD} at {100 * SHARE:.0f} % of {PEAK / 1e12:.0f} TFLOP/s (dense bf16). Expected: of what no "
        f"earlier row has trained, in all {total}. With what it shares, and measured: of all that the run rests on."
    )
    return Shown(frame(columns, [f"{i}. {row.run.what}" for i, row in enumerate(found, 1)]), caption)


def commands() -> str:
    """The commands of the plan, each under what it is for."""
    return "\n".join(f"# {i}. {run.what}\n{run.command}" for i, run in enumerate(RUNS, 1))


def goals_table() -> Shown:
    """What is aimed at, and the share of the card's peak that it takes."""
    cifar = model_cost("tr18", None, 100, 32, 0).base_macs * 50_000 * CUTOUT.epochs * BACKWARD
    tiny = model_cost("tr18", None, 200, 64, 0).base_macs * 100_000 * 100 * BACKWARD
    first = next(rows())
    goals = {
        f"tr18 on CIFAR-100, {CUTOUT.epochs} epochs": (cifar, 3.0),
        f"Table 2's CIFAR-100 column, {first.run.what.rpartition(', ')[2]}": (first.whole, first.run.goal or 0.0),
        f"tr18 on tiny-ImageNet, 100 epochs (the recipe has {OPENMIXUP.epochs})": (tiny, 20.0),
    }
    columns = {
        "10¹⁵ MACs": [f"{macs / 1e15:.1f}" for macs, _ in goals.values()],
        "goal": [_time(within) for _, within in goals.values()],
        "share of peak": [f"{100 * share_of_peak(macs, within):.0f} %" for macs, within in goals.values()],
        f"expected at {100 * SHARE:.0f} %": [_time(minutes(macs)) for macs, _ in goals.values()],
    }
    flop, seconds, peak = AIRBENCH
    caption = (
        f"Goals on one {CARD}, for training alone, and the share of its peak that each takes. "
        f"{100 * SHARE:.0f} % is that of airbench's ResNet-18: {flop / 1e15:g} PFLOP in {_time(seconds / 60)} on an "
        f"A100 ({peak / 1e12:.0f} TFLOP/s)."
    )
    return Shown(frame(columns, list(goals)), caption)


def _time(value: float) -> str:
    """``2.3 min`` or ``1.5 h``."""
    return f"{value:.1f} min" if value < 90 else f"{value / 60:.1f} h"
