"""The front page: the answer in a few lines, and the headline claims behind it, all of the records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from repro.errors import ReproError
from repro.exhibits import exhibit
from repro.exhibits.three_families.families import NAME
from repro.exhibits.three_families.verdicts import headline, never_run
from repro.report.chapter import made_before, of_before
from repro.report.claim import Claim
from repro.report.exhibit import Exhibit
from repro.report.numbers import DATASETS, effect, gain, gain_of_longer, where_run
from repro.report.verdict import ClaimVerdict, Verdict
from repro.study.results import StudyResult

_WHO = {
    "single-gate": "single gate beats", "DeepMoE": "DeepMoE with gates on outputs beats",
    "DeepMoE-inputs": "DeepMoE with gates on inputs beats", "sparse": "sparse layers beat",
}  # fmt: skip
_RIVALS = {"equal-inference": "of equal cost, in as many epochs", "equal-training": "of equal cost, trained as long"}
CONTROLS = "A mixture against plain networks given as much compute"
GROUPS: dict[str, tuple[tuple[str, str, str], ...]] = {
    CONTROLS: (
        ("table2_num_experts", "C2/20/equal-inference", "base and 20 experts beat a plain network of their cost"),
        ("table2_num_experts", "C2/20/equal-training", "base and 20 experts beat the base trained as long"),
        *(
            (NAME, f"{family}/middle/{against}", f"{who} a plain network {of}")
            for family, who in _WHO.items()
            for against, of in _RIVALS.items()
        ),
        ("table1_main", "P1", "base and deeper experts beat a plain network of their cost (tr10-tr18, tr18)"),
        ("table1_main", "P2", "base and shallower experts beat a costlier plain network (tr18-tr10, tr34)"),
        ("deepmoe_table2_cifar", "DM2", "a DeepMoE of twice the width beats a plain network of its cost"),
        ("sparse_placement", "V1/convnext", "ConvNeXt with two sparse layers beats the dense one"),
    ),
    "Inside a single-gate mixture": (
        ("table2_num_experts", "C2/20", "20 experts beat one"),
        ("table2_num_experts", "C3", "20 experts are hardly better than 10"),
        ("table1_main", "D1", "a deeper base beats deeper experts (tr18-tr10, tr10-tr18)"),
        ("table1_main", "D2", "a deeper base beats deeper experts (tr34-tr10, tr18-tr18)"),
        ("table5_per_class", "C5/confusion/with", "routing each image beats routing each class (confused classes)"),
        ("table6_ensemblers", "E2/bagging", "averaging with the base beats the expert alone"),
        ("unstated_choices", "U2", "showing experts some of the other images helps"),
    ),
    "Early exit": (
        ("appendix_early_exit", "X1", "exits by the threshold beat exits at random"),
        ("figure2_anytime", "F5",
         "choosing among mixtures and thresholds beats a mixture of that cost with one expert for every image"),
        ("appendix_early_exit", "X2/logistic", "the threshold beats a learned exit rule"),
    ),
}  # fmt: skip
"""Exhibit, claim (of top-1 accuracy, in points) and its sentence, by what is asked."""

VERDICTS = ("Which mixture, at equal compute?", "Do mixtures beat plain networks?")
"""The openings of :func:`answer` that are sentences, without a list."""
SCALES = ("laptop", "gpu", "paper")
"""In this order; the others are demonstrations."""


class Effect(NamedTuple):
    """What a run says of a claim; ``passed``: it holds, and so against each of its controls, by a rule set before."""

    result: StudyResult
    judged: ClaimVerdict
    passed: bool

    @property
    def seeds(self) -> int:
        return self.judged.ours.n if self.judged.ours else 0

    @property
    def place(self) -> tuple[int, str]:
        """For the order of marks, rows and sentences."""
        return SCALES.index(self.result.scale), self.result.dataset

    @property
    def text(self) -> str:
        """``undecided, +0.27 [−1.14, +1.68] (CIFAR-100, laptop scale)``, marks included."""
        return f"{self.judged.text}, {effect(self.judged.ours)} ({where_run(self.result)})"


class Headline(NamedTuple):
    """A claim in a short sentence, with what every run says of it."""

    group: str
    sentence: str
    exhibit: Exhibit
    claim: Claim
    effects: tuple[Effect, ...]

    @property
    def name(self) -> str:
        """The sentence without the models' names."""
        return self.sentence.partition(" (")[0]

    @property
    def mixture(self) -> str:
        """Who beats, of the sentence of a comparison with a plain network."""
        return self.sentence.partition(" beat")[0]

    @property
    def passed(self) -> bool:
        """Whether it holds against each of its controls somewhere, and its opposite nowhere."""
        return any(e.passed for e in self.effects) and not self.has(Verdict.OPPOSITE)

    def has(self, *verdicts: Verdict) -> list[Effect]:
        """The effects with one of these verdicts."""
        return [e for e in self.effects if e.judged.verdict in verdicts]


def headlines(results: Sequence[StudyResult]) -> list[Headline]:
    """The front page's claims against everything recorded on real images.

    Raises:
        ReproError: an exhibit has no claim of that key.
    """
    lines = []
    for group, claims in GROUPS.items():
        for name, key, sentence in claims:
            study = exhibit(name)
            claim = next((claim for claim in study.claims if claim.key == key), None)
            if claim is None:
                raise ReproError(f"{name} has no claim '{key}' (there are: {', '.join(c.key for c in study.claims)})")
            own = [r for r in results if r.study == name and r.dataset != "modes" and r.scale in SCALES]
            own = [r for r in own if name == NAME or not r.part]  # families are parts; else another reading or network
            each = sorted(filter(None, (_effect(study, claim, r) for r in own)), key=lambda e: e.seeds)
            effects = {e.place: e for e in each}.values()  # of two records of a place that of more seeds
            lines.append(Headline(group, sentence, study, claim, tuple(sorted(effects, key=lambda e: e.place))))
    return lines


def _effect(exhibit: Exhibit, claim: Claim, result: StudyResult) -> Effect | None:
    judged = {j.claim.key: j for j in exhibit.judge(result)}
    if claim.key not in judged or judged[claim.key].ours is None:
        return None
    needed = (claim.key, *(f"{claim.key}/{control.key}" for control in claim.controls))
    passed = all(key in judged and judged[key].verdict is Verdict.HOLDS for key in needed)
    return Effect(result, judged[claim.key], passed and not claim.settled_after)


def answer(results: Sequence[StudyResult]) -> dict[str, tuple[str, list[str]]]:
    """A short sentence and its list by their openings: what a reader in a hurry asks.

    The verdict of the three families comes first, where they were run; it and the next are counts and sums of what
    the figure below has one by one, and have no list. Claims whose rule was settled with its numbers in sight are left
    to the figure. Effects are points of top-1 accuracy.
    """
    lines = [line for line in headlines(results) if not line.claim.settled_after]
    main = [line for line in lines if line.group == CONTROLS]
    parts = _of_one_name([line for line in lines if line not in main])
    against = [line for line in parts if line.has(Verdict.OPPOSITE)]
    gained = [line for line in parts if line.has(Verdict.HOLDS) and line not in against]
    undecided = [line.name for line in parts if line.has(Verdict.UNDECIDED) and line not in (*gained, *against)]
    held = [line for line in gained if line.passed]
    lost = [line for line in gained if not line.passed and any(e.judged.controlled for e in line.has(Verdict.HOLDS))]
    bare = [
        f"“{line.name}” ({'; '.join(where_run(e.result) for e in without)})"
        for line in gained
        if not line.passed and (without := [e for e in line.has(Verdict.HOLDS) if not e.judged.controlled])
    ]
    known = (Verdict.HOLDS, Verdict.UNDECIDED)
    absent = [line.sentence for line in lines if not line.effects]
    own_scale = any(e.result.scale == "paper" for line in lines for e in line.effects)
    compared = _trained_alike(results)
    answers = {
        "Which mixture, at equal compute?": (
            " ".join(
                f"{where}: {headline(of, others=[w for w, _ in compared].count(where) == 1, effects=False)}"
                for (where, _), of in compared.items()
            ), []
        ),
        "Do mixtures beat plain networks?": (_tested(main), []),
        "What else holds": ("in single-gate mixtures:", [f"{line.name}: {_brief(line.has(*known))}" for line in held]),
        "What does not hold": ("in single-gate mixtures:", [
            *(f"{line.name}, but not each control: {_brief([e for e in line.has(*known) if e.judged.controlled])}"
              for line in lost),
            *(f"“{line.name}”: {_brief(line.has(*known, Verdict.OPPOSITE), None)}" for line in against),
            *([f"undecided: {'; '.join(undecided)}"] if undecided else []),
        ]),
        "What it costs:": ("base and experts, in units of the base alone:", cost(results)),
        "What was not run:": ("", [
            ("most at " if own_scale else "") + "the paper's own scale",
            *(f"three families at {scale} scale" + (f": {', '.join(lacking)}" if there else "")
              for scale in SCALES[:-1] if not (there := [r for of in compared.values() for r in of if r.scale == scale])
              or (lacking := never_run(there))),
            *([f"whether {'; '.join(absent)}"] if absent else []),
            *([f"controls of {', '.join(bare)}"] if bare else []),
        ]),
    }  # fmt: skip
    return {opening: part for opening, part in answers.items() if part[1] or (part[0] and opening in VERDICTS)}


def rivals(results: Sequence[StudyResult]) -> tuple[list[str], dict[str, list[list[Effect]]]]:
    """The three families at the middle budget: their rivals, and by family its effects against each."""
    effects = {line.claim.key: list(line.effects) for line in headlines(results) if line.exhibit.name == NAME}
    by_family = {who: [effects[f"{family}/middle/{against}"] for against in _RIVALS] for family, who in _WHO.items()}
    return list(_RIVALS.values()), {who.partition(" beat")[0]: of for who, of in by_family.items() if any(of)}


def _trained_alike(results: Sequence[StudyResult]) -> dict[tuple[str, str], list[StudyResult]]:
    """The records of the three families by where they were run, and by what else they have in common."""
    alike: dict[tuple[str, str], list[StudyResult]] = {}
    for r in results:
        if r.study == NAME and r.dataset != "modes" and r.scale in SCALES:
            alike.setdefault((where_run(r), r.spec_hash), []).append(r)
    return alike


def _of_one_name(lines: Sequence[Headline]) -> list[Headline]:
    """A claim that was put to several models as one, with the effects of all."""
    by_name: dict[str, Headline] = {}
    for line in lines:
        earlier = by_name.get(line.name)
        by_name[line.name] = line._replace(effects=(*earlier.effects, *line.effects)) if earlier else line
    return list(by_name.values())


def _tested(main: Sequence[Headline]) -> str:
    tested = sum(len(line.has(Verdict.HOLDS, Verdict.OPPOSITE, Verdict.UNDECIDED)) for line in main)
    if not tested:
        return "Whether a mixture beats a plain network that had as much compute: nowhere tested with enough seeds."
    ahead = [
        f"{line.mixture}, {where_run(e.result)}{'' if e.judged.controlled else ', without control'}"
        for line in main for e in line.has(Verdict.HOLDS)
    ]  # fmt: skip
    behind = [line.mixture for line in main for _ in line.has(Verdict.OPPOSITE)]
    counts = [
        f"{verb} in {len(of)} ({'; '.join(dict.fromkeys(of))})" if of else f"{verb} in none"
        for verb, of in (("ahead", ahead), ("behind", behind))
    ]
    rest = ", and undecided in the others" if len(ahead) + len(behind) < tested else ""
    return (
        f"Of {tested} comparison{'s' * (tested > 1)} with plain networks that had as much compute for an image, in "
        f"training, or both, three seeds or more each, a mixture is {', '.join(counts)}{rest}."
    )


def cost(results: Sequence[StudyResult]) -> list[str]:
    """What the mixture of Table 2 costs in multiply-adds, in units of its base; its training where it was recorded."""
    costs = []
    for r in results:
        macs = {c.num_experts: c.macs for c in r.costs if not c.row}  # the others are controls'
        largest = max(macs, default=0)
        if r.study == "table2_num_experts" and r.scale in SCALES and {0, largest} <= set(macs):
            training = ""
            if controls := r.tables.get("controls"):  # the base for more epochs, and per cent of the mixture's training
                alike = controls.where(control="equal-training", experts=largest)
                for epochs, share in zip(alike.column("epochs"), alike.column("training"), strict=True):
                    training = f", {100 * epochs / share / r.spec['base_recipe']['epochs']:.2f} times to train"
            costs.append(f"{where_run(r)}: {macs[largest] / macs[0]:.2f} times for an image{training}")
    return costs


def longer(results: Sequence[StudyResult]) -> str:
    """What a base would gain by twice its training, where that was measured."""
    measured = [r for r in results if "longer" in r.tables and r.scale in SCALES]
    gains = [f"{gain_of_longer(r):+.1f} ({where_run(r)}, one seed)" for r in measured]
    return f"Twice the epochs gave the base alone {', '.join(gains)}: it is not trained to the end." if gains else ""


def older(results: Sequence[StudyResult]) -> str:
    """Which records an earlier version made, by place; the others are of today's recipes."""
    by_run: dict[str, list[str]] = {}
    for r in results:
        if r.scale in SCALES and (run := of_before(r)):
            by_run.setdefault(run, []).append(exhibit(r.study).title.removeprefix("Appendix: ").partition(":")[0])
    return made_before([f"{run}: {', '.join(titles)}" for run, titles in by_run.items()])


def _brief(effects: Sequence[Effect], usual: Verdict | None = Verdict.HOLDS) -> str:
    """``CIFAR-100 +2.38, tiny-ImageNet +1.10 undecided (laptop scale)``: a verdict is named unless it is the usual."""
    by_scale: dict[str, list[str]] = {}
    for result, judged, _ in effects:
        verdict = "" if judged.verdict is usual else f" {judged.verdict.value}"
        where = DATASETS.get(result.dataset, result.dataset)
        by_scale.setdefault(result.scale, []).append(f"{where} {gain(judged.ours)}{verdict}")
    return "; ".join(f"{', '.join(gains)} ({scale} scale)" for scale, gains in by_scale.items())
