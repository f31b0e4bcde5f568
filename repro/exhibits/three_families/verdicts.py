"""The claims, their verdict in a sentence, and the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from repro.exhibits.three_families.asked import TRIALS
from repro.exhibits.three_families.families import BUDGETS, FAMILIES, SLACK, Family
from repro.exhibits.three_families.rivals import BATCHES, INFERENCE, TRAINING, cell
from repro.report.claim import Cell, Claim
from repro.report.numbers import DATASETS, NONE, effect, mean_std
from repro.report.tables import Captioned, Columns, about, frame, means, metric_columns
from repro.report.verdict import ClaimVerdict, Verdict, by_seed, judge, not_printed, summary_of
from repro.study.graph import BACKWARD
from repro.study.parameters import DEMONSTRATIONS
from repro.study.record import TRAINED
from repro.study.results import StudyResult, Table

AGAINST = {
    INFERENCE: "a plain network of equal inference MACs",
    TRAINING: "a plain network of equal inference MACs, trained as long",
    "ensemble": "two plain networks of half its MACs each",
    "equal-parameters": "a plain network of as many parameters",
    "equal-latency": "a plain network as fast, one image at a time",
    "equal-throughput": "a plain network as fast, 256 images at a time",
}
VERBS = (
    (Verdict.HOLDS, "beats", "beat"),
    (Verdict.UNDECIDED, "is not found to beat", "are not found to beat"),
    (Verdict.OPPOSITE, "falls behind", "fall behind"),
)


def key(family: str, budget: str, against: str) -> str:
    """How a claim is named: ``single-gate/middle/equal-training``."""
    return f"{family}/{budget}/{against}"


def mixture_cell(family: str, budget: str, against: str) -> Cell:
    """A mixture's top-1 accuracy; against throughput that of what is timed, which may answer otherwise."""
    return cell(family, budget, metric="top1_many" if against == "equal-throughput" else "top1")


CLAIMS = tuple(
    Claim(
        key(family.name, budget, against), f"{family.phrase} beats {AGAINST[against]} ({budget} budget)",
        mixture_cell(family.name, budget, against), cell(family.name, budget, against), paired=False,
        settled_after=against in ("ensemble", *BATCHES),
    )
    for family in FAMILIES
    for budget in BUDGETS
    for against in (INFERENCE, TRAINING, *(("ensemble", *BATCHES) if budget == "middle" else ()))
)  # fmt: skip
"""Two verdicts for each family and budget; at the middle one others by the clock, for one image and for many, and
against two smaller networks. Which times count as equal was settled afterwards, and that their curve bends.

No paper makes these claims: they are what a user would want to know. What is compared is drawn apart: not paired.
"""


def headline(results: Sequence[StudyResult], others: bool = True, effects: bool = True) -> str:
    """The study's verdict in a sentence: against plain networks trained as long, at the middle budget.

    That budget and that control were fixed beforehand; whatever the records say, there is a sentence for it, with the
    families that they do not have, if ``others``, and the ``effects`` in brackets. The records are those of one place,
    whole or a part each; of two that have a family the one of more seeds counts.
    """
    judged = [(j.ours.n, j) for result in results for j in judge(CLAIMS, result, not_printed) if j.ours]
    judged_by_key = {j.claim.key: j for _, j in sorted(judged, key=lambda one: one[0])}
    middle = {family: judged_by_key.get(key(family.name, "middle", TRAINING)) for family in FAMILIES}
    run = {family: judged for family, judged in middle.items() if judged}
    if not run:
        return "At the middle budget no mixture was held against a plain network trained as long."
    few = {f: judged for f, judged in run.items() if judged.verdict in (Verdict.ANECDOTE, Verdict.TWO_SEEDS)}
    decided = {f: judged for f, judged in run.items() if f not in few}
    rival = "a plain network of the same inference cost, trained as long"
    clauses: list[str] = []
    for verdict, one, several in VERBS:
        of = {f: judged for f, judged in decided.items() if judged.verdict is verdict}
        if of:
            names, verb = listed(list(map(_named, of))), one if len(of) == 1 else several
            clauses.append(f"{names} {verb} {'it' if clauses else rival}" + (f" ({_each(of)})" if effects else ""))
    decision = "; ".join(clauses)
    sentences = [f"{decision[0].upper()}{decision[1:]}."] if decision else []
    if few:
        names, beats = listed(list(map(_named, few)), "or"), "beats one" if decided else f"beats {rival}"
        points = f" ({_each(few)})" if effects else ""
        sentences.append(f"Fewer than three seeds do not decide whether {names} {beats}{points}.")
    absent = [_named(family) for family in FAMILIES if others and family not in run and family.usual]
    return " ".join([*sentences, *([f"Not run: {listed(absent)}."] if absent else [])])


def not_run(results: Sequence[StudyResult]) -> list[str]:
    """What the records of one scale lack of what the exhibit sets out to run, in words."""
    run = {row for result in results for row in rows_of(result)}
    budgets = [budget for budget in BUDGETS if budget not in {budget for _, budget in run}]
    lacking = [f"{len(budgets)} of {len(BUDGETS)} budgets ({listed(budgets)})"] if budgets else []
    if not any(m.method == "equal-parameters" for result in results for m in result.measurements):
        lacking.append("plain networks of as many parameters in all")
    return lacking


def never_run(results: Sequence[StudyResult]) -> list[str]:
    """Besides: the image sets that they lack, and the families, the usual ones or not."""
    images = [DATASETS[name] for name in ("cifar100", "tiny-imagenet") if name not in {r.dataset for r in results}]
    run = {family for result in results for family, _ in rows_of(result)}
    return [*not_run(results), *images, *(_named(family) for family in FAMILIES if family not in run)]


def _each(judged: Mapping[Family, ClaimVerdict]) -> str:
    """``−6.9 [−15.8 to +2.1] points of top-1 accuracy, two seeds: an anecdote``; of several each with its name."""
    each = {f.phrase: (effect(j.ours, " to "), j.verdict) for f, j in judged.items()}
    if len(each) == 1:
        ((points, verdict),) = each.values()
        return f"{points} points of top-1 accuracy, {verdict}"
    return "points of top-1 accuracy: " + "; ".join(f"{name} {p}, {verdict}" for name, (p, verdict) in each.items())


def _named(family: Family) -> str:
    """As in a sentence."""
    return f"the {family.phrase}" if family.label.endswith("mixture") else family.phrase


def listed(parts: Sequence[str], last: str = "and") -> str:
    """``one, two and three``."""
    return ", ".join(parts[:-1]) + f" {last} " + parts[-1] if len(parts) > 1 else parts[0]


def rows_of(result: StudyResult) -> list[tuple[Family, str]]:
    """The families and budgets that a record has, in the table's order."""
    rows = result.rows()
    return [(family, budget) for family in FAMILIES for budget in BUDGETS if f"{family.name}, {budget}" in rows]


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: every mixture and its rivals; ``trials``."""
    rows = rows_of(result)
    judged = {j.claim.key: j for j in judge(CLAIMS, result, not_printed)}
    metrics = {
        "MACs, M": ("macs_millions", 2), "parameters, M": ("params_millions", 2),
        "training MACs, M": ("training_millions", 0), "top-1": ("top1", 2), "top-1, 256 at a time": ("top1_many", 2),
    }  # fmt: skip
    columns = metric_columns(result, [cell(f.name, b) for f, b in rows], metrics)
    for method, rival in AGAINST.items():
        columns[f"top-1 of {rival}"] = means(result, [cell(f.name, b, method) for f, b in rows])
    longer = {"training MACs of the one trained as long, % of the mixture's": _share_of_training, "its epochs": _epochs}
    for heading, computed in longer.items():
        columns[heading] = [mean_std(summary_of(result, partial(computed, f.name, b)), 1) for f, b in rows]
    for method, of in {"mixture": "", **{against: f" of {rival}" for against, rival in AGAINST.items()}}.items():
        trained = means(result, [cell(f.name, b, method, TRAINED) for f, b in rows])
        if any(text != NONE for text in trained):
            columns[f"top-1 while training{of}"] = trained
    shares = [cell(f.name, b, "ensemble", "share") for f, b in rows]
    columns["MACs of the two networks, % of the mixture's"] = means(result, shares, 0)
    for against in (INFERENCE, TRAINING):
        columns[f"verdict: {against}"] = [judged[key(f.name, b, against)].text for f, b in rows]
    caption = f"{about(result)}; top-1 on the {result.evaluate} set in percent. A dash: not run, or beyond the curve."
    main = frame(columns, [f"{f.label}, {b}" for f, b in rows]).T
    captioned = {"main": Captioned(main, caption)}
    if (trials := result.tables.get("trials")) and trials.rows and not _taken_before(trials):
        texts: Columns = {
            "choice": [f"{value:g}" for value in trials.column("choice")],
            "top-1": [NONE if value is None else f"{value:.2f}" for value in trials.column("top1")],
            "MACs, M": [NONE if value is None else f"{value / 1e6:.2f}" for value in trials.column("macs")],
            "taken": ["taken" if value else "" for value in trials.column("taken")],
        }
        choices = "; ".join(f"of {f.phrase} {f.choice}" for f in FAMILIES if f.name in trials.column("model"))
        caption = (
            f"{about(result)}; trials on validation images: the most accurate one is taken of those within "
            f"{SLACK:g} budgets, or as cheap as the cheapest. Choices: of plain networks the learning rate, in the "
            f"recipe's; then, at the best rate, {choices}. Where a trial is shorter than what it is for, accuracies "
            "compare within a model only. A dash: the gates collapsed."
        )
        captioned["trials"] = Captioned(frame(texts, map(_who, trials.column(TRIALS[0]))), caption)
    return captioned


def _taken_before(trials: Table) -> bool:
    """Whether they are those of another run, which says how accurate they were."""
    return None in trials.where(taken=1).column("top1")


def _who(model: str) -> str:
    """A family's phrase, or a body's name, by the name that a record has."""
    return next((family.phrase for family in FAMILIES if family.name == model), model)


def _share_of_training(family: str, budget: str, result: StudyResult) -> dict[int, float]:
    """Training MACs of the plain network trained as long, in percent of the mixture's."""
    plain, mixture = (
        by_seed(result, cell(family, budget, method, "training_millions")) for method in (TRAINING, "mixture")
    )
    return {seed: 100 * macs / mixture[seed] for seed, macs in plain.items()}


def _epochs(family: str, budget: str, result: StudyResult) -> dict[int, float]:
    """Its epochs; of two networks between theirs."""
    training, macs = (by_seed(result, cell(family, budget, TRAINING, f"{m}_millions")) for m in ("training", "macs"))
    return {seed: each / (BACKWARD * macs[seed]) for seed, each in training.items()}


def _tuning(result: StudyResult) -> str:
    trials = result.tables.get("trials")
    if not trials or not trials.rows:
        return "Nothing was tuned: no trials, every choice is the default."
    if _taken_before(trials):
        taken = [f"{_who(str(name))} {choice:g}" for name, choice, *_ in trials.rows]
        return f"Nothing was tuned: choices are those of earlier trials, at the middle budget ({', '.join(taken)})."
    models = dict.fromkeys(trials.column("model"))
    choices = {model: trials.where(model=model).column("choice") for model in models}
    at_an_end = [
        f"{_who(model)} ({choice:g})"
        for model in models
        for choice in trials.where(model=model, taken=1).column("choice")
        if choice in (min(choices[model]), max(choices[model]))
    ]
    each = len(trials.rows) // len(models)
    made = f"Choices were made on validation images, in {each} trials for every mixture and every plain network."
    if not at_an_end:
        return made
    return f"{made} The one taken is at an end of what was tried, so that better may lie beyond: {listed(at_an_end)}."


def _as_long(result: StudyResult) -> str:
    """How long the rivals of the middle budget were trained: the one trained as long, and the one of as many epochs."""
    epochs = _epochs_of_curve(result)
    clauses = []
    for family, budget in rows_of(result):
        training, macs = (summary_of(result, cell(family.name, budget, metric=m))
                          for m in ("training_millions", "macs_millions"))  # fmt: skip
        longer = [summary_of(result, partial(of, family.name, budget)) for of in (_epochs, _share_of_training)]
        if budget == "middle" and training and macs and all(longer) and epochs:
            many, share = (one.mean for one in longer if one)
            usual = 100 * BACKWARD * epochs * macs.mean / training.mean
            clauses.append(f"{_named(family)} {many:.1f} ({share:.0f} %) and {epochs} ({usual:.0f} %)")
    if not clauses:
        return ""
    return (
        "Epochs of the plain network trained as long, and of the one of equal inference MACs alone (their training in "
        f"percent of the mixture's): {'; '.join(clauses)}."
    )


def _epochs_of_curve(result: StudyResult) -> int | None:
    """Of each plain network on the curve."""
    curve = result.tables.get("plain")
    if not curve or not curve.rows:
        return None
    return round(curve.column("training")[0] / (BACKWARD * curve.column("macs")[0]))


def read(result: StudyResult) -> str:
    """The verdict, how long the rivals were trained, and how choices were made; the tables have the numbers."""
    sentences = [headline([result], others=not result.part), _as_long(result), _tuning(result)]
    if lacking := not_run([result]):
        sentences.append(f"Not run here: {listed(lacking)}.")
    if result.scale in DEMONSTRATIONS:
        sentences.append("At this scale it is a demonstration, no evidence.")
    return " ".join(filter(None, sentences))
