"""Every family at every budget, its choices made on validation images, and what it is held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import combinations
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils.benchmark import Timer

from repro.analysis.anytime import bagged
from repro.analysis.outputs import accuracy
from repro.analysis.specialisation import agreement, agreement_within
from repro.data.augment import Augmentation
from repro.errors import TrainingError
from repro.exhibits.three_families.asked import Mixture, ThreeFamiliesParameters, tuned
from repro.exhibits.three_families.bodies import Answer, Asked, Body, Model, Point
from repro.exhibits.three_families.families import MANY, NAME
from repro.exhibits.three_families.rivals import BATCHES, INFERENCE, Trained, as_fast, at_macs, cell, on_curve
from repro.report.claim import Cell
from repro.study.graph import Goal
from repro.study.record import TRAINED, open_runner, record, seed_by_seed, while_training
from repro.study.results import Measurement, StudyResult, Table
from repro.study.runner import Runner
from repro.training.device import autocast

Times = dict[tuple[str, str, int], float]
"""Milliseconds an image by (body, model, batch); the networks of the plain curve are ``plain 0``, ``plain 1`` ..."""
PLAIN = ["body", "seed", "macs", "params", "training", "ms", "top1"]
CURVE = ["family", "budget", "seed", "how", "macs", "top1"]
SPEED = ["body", "model", "batch", "ms"]
MODELS = ["family", "budget", "spec"]
"""What a mixture is in full, as JSON; of the first seed, which alone differs."""
REPETITIONS = 5


def _ask(runner: Runner, model: Model) -> Mapping[str, Tensor]:
    """The predictions of a model; trained first where they do not stand."""
    runner.run(model.goal.steps)
    return runner.load(model.goal.steps[0]).tensors


def point_of(runner: Runner, model: Model) -> Point:
    """How a model is judged; trained first where it does not stand."""
    return model.points(_ask(runner, model))[0]


def _tried(runner: Runner, models: Sequence[Model]) -> list[Point | None]:
    """The point of each trial; None where its training collapsed."""
    runner.add([model.goal for model in models], "these trials")
    with suppress(TrainingError):
        runner.run([model.goal.steps[0] for model in models])
    return [None if model.goal.steps[0] in runner.failed else point_of(runner, model) for model in models]


def three_families(parameters: ThreeFamiliesParameters) -> StudyResult:
    """Train every family at every budget and what it is held against; write the record to ``<root>/results``.

    If the time is up before all is done, the record is of the seeds that are whole.
    """
    runner = open_runner(parameters, [])
    sources = runner.context.sources
    choice_of, trials, _ = tuned(parameters, partial(_tried, runner))
    runner.add(parameters.planned(choice_of), "what is known so far")
    tables = {"plain": Table(columns=PLAIN, rows=[]), "curve": Table(columns=CURVE, rows=[]), "trials": trials}
    tables["models"] = Table(columns=MODELS, rows=[
        [mixture.family.name, mixture.budget, mixture.model.goal.config]
        for body, asked in parameters.places(choice_of) if asked.spec.seed == parameters.seeds[0]
        for mixture in parameters.mixtures(body, asked, choice_of)
    ])  # fmt: skip
    times: Times = {}

    def of_seed(seed: int) -> Iterator[Measurement]:
        rows: dict[str, list[list[Any]]] = {"plain": [], "curve": []}
        groups: dict[str, Tensor] = {}
        for body in parameters.bodies():
            asked = parameters.asked(seed, rate=choice_of[body.name])
            curve = [(model, point_of(runner, model)) for model in parameters.curve(body, asked)]
            middle: dict[str, Model] = {}
            for mixture in parameters.mixtures(body, asked, choice_of):
                family, budget, model = mixture.family.name, mixture.budget, mixture.model
                tensors = _ask(runner, model)
                points = model.points(tensors)
                held = parameters.rivals(mixture, points[0].macs)
                answers = {method: [(m, _ask(runner, m)) for m in models] for method, models in held.items()}
                yield from _measure(seed, mixture, points, curve, answers)
                yield from _while_training(runner, seed, mixture, points[0].macs, curve, held)
                if budget == "middle":
                    groups[family], middle[family] = model.groups(tensors), model
                    many = points[0].top1 if model.many is None else model.many(runner)
                    yield cell(family, budget, metric="top1_many").measurement(seed, many)
                for other in mixture.others:
                    with suppress(TrainingError):  # its gates collapsed: no point of the curve
                        points += other.points(_ask(runner, other))
                rows["curve"].extend([family, budget, seed, p.how, round(p.macs), round(p.top1, 3)] for p in points)
            if (body.name, "plain 0", MANY) not in times:  # other seeds have networks of the same sizes
                times.update(_times(runner, body, asked, curve, middle))
            yield from _as_fast(seed, body, curve, middle, times)
            rows["plain"].extend(
                [body.name, seed, p.macs, m.params, m.training, times[body.name, f"plain {i}", MANY], round(p.top1, 3)]
                for i, (m, p) in enumerate(curve)
            )
        spec = parameters.asked(seed).spec
        images, (_, superclass_C) = sources.images(spec, "evaluation"), sources.superclasses(spec)
        labels = torch.from_numpy(images.labels)
        truths = {"class": labels}
        if len(superclass_C.unique()) < len(superclass_C):
            truths["superclass"] = superclass_C[labels]
        if images.modes is not None:
            truths["mode"] = torch.from_numpy(images.modes)
        for name, own in rows.items():
            tables[name].rows.extend(own)
        yield from _known_by_gates(seed, groups, truths)

    def rivals_of(mixture: Mixture) -> list[Goal]:
        point, *_ = mixture.model.points(runner.load(mixture.model.goal.steps[0]).tensors)
        return [model.goal for models in parameters.rivals(mixture, point.macs).values() for model in models]

    def write(measurements: list[Measurement]) -> StudyResult:
        tables["speed"] = Table(columns=SPEED, rows=[[*name, ms] for name, ms in times.items()])
        spec, differing = parameters.asked(parameters.seeds[0]).spec, {"seed": True, "width": True}
        return record(
            NAME, parameters, runner, spec, differing, "several", "several", measurements, tables=tables,
            part=parameters.part(), timed=True,
        )  # fmt: skip

    for body, asked in parameters.places(choice_of):
        for mixture in parameters.mixtures(body, asked, choice_of):
            if mixture.model.macs is None:
                runner.follow(mixture.model.goal.steps[0], partial(rivals_of, mixture))
    return seed_by_seed(map(of_seed, parameters.seeds), write)


def _measure(
    seed: int, mixture: Mixture, points: Sequence[Point], curve: Sequence[Trained],
    answers: Mapping[str, Sequence[tuple[Model, Mapping[str, Tensor]]]],
) -> Iterator[Measurement]:  # fmt: skip
    """A mixture, and what it is held against by MACs and parameters."""
    _, top1, macs = points[0]

    def one(method: str, metric: str, value: float) -> Measurement:
        return cell(mixture.family.name, mixture.budget, method, metric).measurement(seed, value)

    def whole(method: str, top1: float, macs: float, training: float, params: int) -> Iterator[Measurement]:
        yield one(method, "top1", top1)
        for metric, value in (("macs", macs), ("training", training), ("params", params)):
            yield one(method, f"{metric}_millions", value / 1e6)

    yield from whole("mixture", top1, macs, mixture.model.training, mixture.model.params)
    if len(points) > 1:
        yield one("mixture", "cheapest", 100 * min(point.macs for point in points) / macs)
    if (plain := on_curve(curve, macs)) is not None:
        yield one(INFERENCE, "top1", plain)
    for method, networks in answers.items():
        if method == "ensemble":
            (first, a), (_, b) = networks
            yield one(method, "top1", accuracy(bagged(a["logits"], b["logits"]), a["labels"]))
            yield one(method, "share", 200 * (first.macs or 0) / macs)
        else:
            trained = [(model, model.points(tensors)[0]) for model, tensors in networks]
            yield from whole(method, *at_macs(trained, macs))


def _while_training(
    runner: Runner, seed: int, mixture: Mixture, macs: float, curve: Sequence[Trained],
    rivals: Mapping[str, Sequence[Model]],
) -> Iterator[Measurement]:  # fmt: skip
    """Accuracy in the last epoch, on augmented images, of a mixture and of what it is held against by MACs and
    parameters; a model of several networks, as the single gate's, has none.
    """

    def seen(models: Sequence[Model]) -> list[Trained]:
        points = []
        for model in models:
            trained, *others = model.goal.steps[0].needs
            top1 = None if others else while_training(runner, trained)
            if top1 is None:
                return []
            points.append((model, Point("while training", top1, model.macs or macs)))
        return points

    plain = seen([model for model, _ in curve])
    top1_of = {INFERENCE: on_curve(plain, macs) if plain else None}
    for method, models in {"mixture": [mixture.model], **rivals}.items():
        if method != "ensemble" and (networks := seen(models)):
            top1_of[method] = at_macs(networks, macs)[0]
    for method, top1 in top1_of.items():
        if top1 is not None:
            yield cell(mixture.family.name, mixture.budget, method, TRAINED).measurement(seed, top1)


def _known_by_gates(seed: int, groups: Mapping[str, Tensor], truths: Mapping[str, Tensor]) -> Iterator[Measurement]:
    """Adjusted mutual information of the gates' groups with class, superclass and true mode, and of each two families'
    groups.
    """

    def one(row: str, metric: str, value: float) -> Measurement:
        return Cell(0, "gates", row, metric).measurement(seed, value)

    for name, group_N in groups.items():
        for truth, truth_N in truths.items():
            yield one(name, truth, agreement(group_N, truth_N))
        if "mode" in truths:
            yield one(name, "mode within class", agreement_within(group_N, truths["mode"], truths["class"]))
    for (first, of_first), (second, of_second) in combinations(groups.items(), 2):
        yield one(f"{first} and {second}", "each other", agreement(of_first, of_second))


def _times(runner: Runner, body: Body, asked: Asked, curve: Sequence[Trained], middle: Mapping[str, Model]) -> Times:
    """How long the plain curve of a body and the mixtures on it take."""
    models = {f"plain {i}": model for i, (model, _) in enumerate(curve)} | dict(middle)
    ready = {name: model.ready(runner) for name, model in models.items()}
    batches = runner.context.sources.batches(asked.spec, "evaluation", Augmentation())
    images = next(iter(batches.clean(MANY))).images
    return {
        (body.name, name, batch): round(ms, 5)
        for batch in BATCHES.values()
        for name, ms in _milliseconds(ready, images[:batch]).items()
    }


def _milliseconds(answers: Mapping[str, Answer], images: Tensor) -> dict[str, float]:
    """Milliseconds that each takes for an image of a batch, on one thread: the median of interleaved repetitions."""
    times: dict[str, list[float]] = {name: [] for name in answers}
    with torch.inference_mode(), autocast(images.device):
        for _ in range(REPETITIONS):
            for name, answer in answers.items():
                timer = Timer("answer(images)", globals={"answer": answer, "images": images})
                times[name].append(1e3 * timer.blocked_autorange(min_run_time=0.1).median / len(images))
    return {name: median(each) for name, each in times.items()}


def _as_fast(
    seed: int, body: Body, curve: Sequence[Trained], middle: Mapping[str, Model], times: Times
) -> Iterator[Measurement]:
    """Milliseconds of each mixture, and the top-1 of a plain network that takes as long."""
    for family in middle:
        for method, batch in BATCHES.items():
            ms = times[body.name, family, batch]
            where = cell(family, "middle", metric=f"ms_{batch}")
            yield where.measurement(seed, ms).model_copy(update={"value": ms})  # four decimals are too few
            plain = as_fast(curve, [times[body.name, f"plain {i}", batch] for i in range(len(curve))], ms)
            if plain is not None:
                yield cell(family, "middle", method).measurement(seed, plain)
