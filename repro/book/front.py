"""The front page: the answer in three sentences, and the headline claims behind it, all of the records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from repro.errors import ReproError
from repro.exhibits import exhibit
from repro.families.single_gate.scales import SCALES as RECIPES
from repro.report.claim import Claim
from repro.report.exhibit import Exhibit
from repro.report.numbers import DATASETS, NONE, gain, interval, where_run
from repro.report.verdict import ClaimVerdict, Verdict
from repro.study.results import StudyResult

CONTROLS = "A mixture against plain networks given as much compute"
GROUPS: dict[str, tuple[tuple[str, str, str], ...]] = {
    CONTROLS: (
        ("table2_num_experts", "C2/20/equal-inference", "base and 20 experts beat a plain network of their cost"),
        ("table2_num_experts", "C2/20/equal-training", "base and 20 experts beat the base trained as long"),
        ("three_families", "single-gate/middle/equal-training", "single gate beats a plain network trained as long"),
        ("three_families", "DeepMoE/middle/equal-training", "DeepMoE beats a plain network trained as long"),
        ("three_families", "sparse/middle/equal-training", "sparse layers beat a plain network trained as long"),
        ("deepmoe_table2_cifar", "DM2", "DeepMoE beats a plain network of its cost"),
        ("sparse_placement", "V1/convnext", "ConvNeXt with two sparse layers beats the dense one"),
    ),
    "Inside a single-gate mixture": (
        ("table2_num_experts", "C2/20", "20 experts beat one"),
        ("table2_num_experts", "C3", "20 experts are hardly better than 10"),
        ("table1_main", "P1", "a pair beats a plain network of its cost (tr10-tr18, tr18)"),
        ("table1_main", "P2", "a pair beats a costlier plain network (tr18-tr10, tr34)"),
        ("table1_main", "D1", "a deeper base beats deeper experts (tr18-tr10, tr10-tr18)"),
        ("table1_main", "D2", "a deeper base beats deeper experts one step on (tr34-tr10, tr18-tr18)"),
        ("table5_per_class", "C5/per-class/with", "routing each image beats routing each class"),
        ("table6_ensemblers", "E2/bagging", "averaging with the base beats the expert alone"),
        ("unstated_choices", "U2", "showing experts some of the other images helps"),
    ),
    "Early exit": (
        ("appendix_early_exit", "X1", "exits by the threshold beat exits at random"),
        ("figure2_anytime", "F5", "the any-time envelope beats plain models of its inference cost and less training"),
        ("appendix_early_exit", "X2/logistic", "the threshold beats a learned exit rule"),
    ),
}  # fmt: skip
"""Exhibit, claim (of top-1 accuracy, in points) and its words in a sentence, by what is asked."""

SCALES = ("laptop", "gpu", "paper")
"""In this order; the others are demonstrations."""


class Effect(NamedTuple):
    """What a run says of a claim; ``passed``: it holds, and so against each of its controls, by a rule set before.

    ``controlled``: each of its controls was run.
    """

    result: StudyResult
    judged: ClaimVerdict
    passed: bool
    controlled: bool

    @property
    def place(self) -> tuple[int, str]:
        """For the order of marks, rows and words."""
        return SCALES.index(self.result.scale), self.result.dataset

    @property
    def text(self) -> str:
        """``+0.70 [+0.29, +1.10] (CIFAR-100, laptop scale)``."""
        known = interval(self.judged.ours, sign=True).replace(" to ", ", ")
        about = "" if self.judged.verdict is not Verdict.ANECDOTE else ", one seed"
        return gain(self.judged.ours) + ("" if known == NONE else f" [{known}]") + f" ({where_run(self.result)}{about})"


class Headline(NamedTuple):
    """A claim in short words, with what every run says of it."""

    group: str
    words: str
    exhibit: Exhibit
    claim: Claim
    effects: tuple[Effect, ...]

    @property
    def name(self) -> str:
        """The words without the models' names."""
        return self.words.partition(" (")[0]

    def has(self, *verdicts: Verdict) -> list[Effect]:
        """The effects with one of these verdicts."""
        return [effect for effect in self.effects if effect.judged.verdict in verdicts]


def headlines(results: Sequence[StudyResult]) -> list[Headline]:
    """The front page's claims against everything recorded on real images.

    Raises:
        ReproError: an exhibit has no claim of that key.
    """
    found = []
    for group, lines in GROUPS.items():
        for name, key, words in lines:
            shown = exhibit(name)
            claim = next((claim for claim in shown.claims if claim.key == key), None)
            if claim is None:
                raise ReproError(f"{name} has no claim '{key}' (there are: {', '.join(c.key for c in shown.claims)})")
            own = [r for r in results if r.study == name and r.dataset != "modes" and r.scale in SCALES]
            effects = [effect for r in own if (effect := _effect(shown, claim, r))]
            found.append(Headline(group, words, shown, claim, tuple(sorted(effects, key=lambda e: e.place))))
    return found


def _effect(shown: Exhibit, claim: Claim, result: StudyResult) -> Effect | None:
    judged = {j.claim.key: j for j in shown.judge(result)}
    if claim.key not in judged or judged[claim.key].ours is None:
        return None
    needed = (claim.key, *(f"{claim.key}/{control.key}" for control in claim.controls))
    passed = all(key in judged and judged[key].verdict is Verdict.HOLDS for key in needed)
    controlled = all(key in judged and judged[key].ours is not None for key in needed)
    return Effect(result, judged[claim.key], passed and not claim.settled_after, controlled)


def answer(results: Sequence[StudyResult]) -> dict[str, str]:
    """Three sentences by their openings: what holds with controls, what does not, what was not run.

    Claims whose rule was settled with its numbers in sight are left to the figure. Effects are points of top-1
    accuracy with 95 % intervals.
    """
    lines = [line for line in headlines(results) if not line.claim.settled_after]
    main, parts = ([line for line in lines if (line.group == CONTROLS) is wanted] for wanted in (True, False))
    holds = [line for line in lines if any(e.passed for e in line.effects) and not line.has(Verdict.OPPOSITE)]
    against = [line for line in parts if line.has(Verdict.OPPOSITE)]
    gained = [line for line in parts if line.has(Verdict.HOLDS) and line not in (*holds, *against)]
    undecided = [line for line in parts if line.has(Verdict.UNDECIDED) and line not in (*holds, *against, *gained)]
    absent = [line.words for line in lines if not line.effects]
    return {
        "What holds:": "; ".join([
            *(["nothing yet against a plain network given as much compute"] * all(line not in holds for line in main)),
            *(f"{line.words} by {_effects([e for e in line.effects if e.passed])}" for line in holds if line in main),
            *(f"{line.name} by {_brief([e for e in line.effects if e.passed])}{_not_there(line)}"
              for line in holds if line in parts),
        ]),
        "What does not:": "; ".join([
            _tested(main, holds),
            *(f"{line.words}: {_effects(line.effects)}" for line in main if line.effects and line not in holds),
            *(f"“{line.name}”, {_brief(same)}, holds, but not against each control{_not_there(line)}" for line in gained
              if (same := [e for e in line.has(Verdict.HOLDS) if e.controlled])),
            *(f"the opposite of “{line.name}”, {_brief(line.has(Verdict.OPPOSITE))}" for line in against),
            *([f"undecided: {', '.join(line.name for line in undecided)}"] if undecided else []),
        ]),
        "What was not run:": "; ".join([
            ("most at " if any(e.result.scale == "paper" for line in lines for e in line.effects) else "")
            + "the paper's own scale",
            *([f"whether {', '.join(absent)}"] if absent else []),
            *(f"the controls of “{line.name}”, {_brief(same)}" for line in gained
              if (same := [e for e in line.has(Verdict.HOLDS) if not e.controlled])),
        ]),
    }  # fmt: skip


def _tested(main: Sequence[Headline], holds: Sequence[Headline]) -> str:
    what = "that a mixture beats a plain network given as much compute"
    tested = [line for line in main if line.has(Verdict.HOLDS, Verdict.OPPOSITE, Verdict.UNDECIDED)]
    if not tested:
        return f"{what} has been tested nowhere with enough seeds for a verdict"
    return f"{what} holds in {sum(line in holds for line in tested)} of the {len(tested)} comparisons with enough seeds"


def cost(results: Sequence[StudyResult]) -> str:
    """What the mixture of Table 2 costs at inference, in units of its base."""
    found = []
    for r in results:
        macs = {c.num_experts: c.macs for c in r.costs if not c.row}  # the others are controls'
        if r.study == "table2_num_experts" and r.scale in SCALES and {0, max(macs, default=0)} <= set(macs):
            found.append(f"{macs[max(macs)] / macs[0]:.2f} ({where_run(r)})")
    return f"An image costs base and one expert, in units of the base alone: {', '.join(found)}." if found else ""


def longer(results: Sequence[StudyResult]) -> str:
    """What a base would gain by twice its training, where that was measured."""
    gains = [(r, [float(v) for v in r.tables["longer"].column("top1")]) for r in results if "longer" in r.tables]
    found = [f"{twice - once:+.1f} ({where_run(r)}, one seed)" for r, (once, twice) in gains if r.scale in SCALES]
    return f"A base alone would gain by twice its epochs: {', '.join(found)}." if found else ""


def older(results: Sequence[StudyResult]) -> str:
    """Where bases were trained for fewer epochs than the scale's recipe has by now, and which exhibit's were not."""
    epochs: dict[tuple[str, int], dict[str, int]] = {}
    for r in results:
        recipe = RECIPES.get(r.scale, {}).get(r.dataset, {}).get("base_recipe")
        if "expert_recipe" in r.spec and recipe and r.scale in SCALES:
            of = epochs.setdefault((where_run(r), recipe.epochs), {})
            of[exhibit(r.study).title.partition(":")[0]] = r.spec["base_recipe"]["epochs"]
    found = []
    for (where, now), of in epochs.items():
        past = sorted({str(n) for n in of.values() if n < now})
        others = [title for title, n in of.items() if n >= now]
        if past:
            but = f", but for {', '.join(others)}" if others else ""
            found.append(f"{where}: bases were trained for {' or '.join(past)} epochs{but}; the recipe now has {now}.")
    return " ".join(found)


def _not_there(line: Headline) -> str:
    """Where a claim that holds somewhere is undecided."""
    undecided = line.has(Verdict.UNDECIDED)
    return f" (undecided: {_brief(undecided)})" if undecided else ""


def _effects(effects: Iterable[Effect]) -> str:
    return " and ".join(effect.text for effect in effects)


def _brief(effects: Sequence[Effect]) -> str:
    """``+0.70 (CIFAR-100) and +0.56 (tiny-ImageNet) at laptop scale``."""
    by_scale: dict[str, list[str]] = {}
    for effect in effects:
        where = DATASETS.get(effect.result.dataset, effect.result.dataset)
        by_scale.setdefault(effect.result.scale, []).append(f"{gain(effect.judged.ours)} ({where})")
    return " and ".join(f"{' and '.join(found)} at {scale} scale" for scale, found in by_scale.items())
