"""A study: specs that share a store, a device and whatever artifacts they have in common, as exhibits ask for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from repro.analysis.ensemblers import ENSEMBLERS
from repro.analysis.outputs import Losses, Outputs, accuracy
from repro.errors import SpecError
from repro.families.single_gate.algorithm1 import build, load_stacker
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.model import SingleGateMoE
from repro.families.single_gate.scales import default_spec
from repro.families.single_gate.stacking import Stacking
from repro.families.single_gate.steps import goal, goals, steps
from repro.study.graph import Context, Goal
from repro.study.parameters import Parameters
from repro.study.picture import Picture
from repro.study.record import record as write
from repro.study.results import Cost, Measurement, StudyResult, Table
from repro.study.runner import Runner
from repro.study.sources import Sources
from repro.study.store import Store
from repro.training import compiling
from repro.training.device import pick_device


class SingleGateParameters(Parameters):
    """What every exhibit of single-gate mixtures may be asked for."""

    def specs(self) -> list[StudySpec]:
        """Every spec that the exhibit needs, seed by seed; the base's alone, unless a subclass says more."""
        return [default_spec(self.scale, self.dataset).with_(seed=seed) for seed in self.seeds]

    def bases(self) -> list[StudySpec]:
        """Specs of which the base model alone is wanted; none, unless a subclass says more."""
        return []

    def goals(self) -> list[Goal]:
        return [*goals(self.specs(), self.bases()), *self.others()]

    def others(self) -> list[Goal]:
        """Models of other families, which are made with these; none, unless a subclass says more."""
        return []


class Study:
    """Single-gate mixtures on one store; what is asked for is found there or made, with all that it rests on.

    Every method raises :class:`~repro.errors.TrainingError` if a training went wrong that its answer rests on, and
    :class:`~repro.errors.TimeIsUpError` when the time that the run was given is up.
    """

    def __init__(
        self, specs: Sequence[StudySpec], root: Path, device: torch.device, bases: Sequence[StudySpec] = (),
        executor: str = "serial", others: Sequence[Goal] = (),
    ) -> None:  # fmt: skip
        """``bases`` are specs of which the base alone will be asked for (:meth:`base_outputs`); ``others`` are goals of
        other families, of whose steps the ``runner`` will be asked; ``executor``: see :mod:`repro.study.executors`.
        """
        self.specs = [*specs, *bases]
        self.root = Path(root)
        self.device = device
        self.store = Store(root)
        self.sources = Sources(self.root, device)
        self.runner = Runner([*goals(specs, bases), *others], Context(self.store, self.sources, device), executor)

    def run(self, spec: StudySpec) -> Outputs:
        """Algorithm 1 for one spec; returns what the trained model says of the evaluation set.

        If a training goes wrong, all that does not depend on it is still made; then :class:`TrainingError` says so.
        """
        self.runner.run(goal(spec).steps)
        return self.outputs(spec)

    def outputs(self, spec: StudySpec) -> Outputs:
        """:class:`Outputs` on the evaluation set (test, or the held-out part of the training set)."""
        return Outputs(**self.runner.load(steps(spec).predictions).tensors)

    def base_outputs(self, spec: StudySpec) -> tuple[Tensor, Tensor]:
        """Logits ``[N, C]`` of the base alone on the evaluation set, and labels ``[N]``; no expert is needed."""
        wanted = steps(spec).base_predictions
        self.runner.run([wanted])
        tensors = self.runner.load(wanted).tensors
        return tensors["logits"], tensors["labels"]

    def losses(self, spec: StudySpec) -> Losses:
        """:class:`Losses` of base and experts on the training images, not augmented."""
        return Losses(**self.runner.load(steps(spec).losses).tensors)

    def assignment(self, spec: StudySpec) -> Tensor:
        """g0 (or, after an E-step, the posterior) of every training image, ``[N, K]``."""
        return self.runner.load(steps(spec).gate).tensors["g0"]

    def class_to_expert(self, spec: StudySpec) -> Tensor:
        """The expert of each class, ``[C]``, under per-class routing."""
        return self.runner.load(steps(spec).gate).tensors["class_to_expert"]

    def gate_metrics(self, spec: StudySpec) -> dict[str, float]:
        """Agreement of the gate with g0 on the training set, smallest and largest share of an expert; percent."""
        return self.runner.load(steps(spec).gate).metrics

    def moe(self, spec: StudySpec) -> SingleGateMoE:
        of, load = steps(spec), self.runner.load
        return build(spec, load(of.base), load(of.gate), [load(expert) for expert in of.experts])

    def stackers(self, spec: StudySpec) -> list[Stacking]:
        """The K trained stacking ensemblers."""
        return [load_stacker(spec, self.runner.load(each)) for each in steps(spec).ensemblers]


def open_study(parameters: SingleGateParameters) -> Study:
    """The study of every spec that the parameters ask for, on their root, device and executor."""
    compiling.choose(parameters.compile)
    device = pick_device(parameters.device)
    others = parameters.others()
    study = Study(parameters.specs(), parameters.root, device, parameters.bases(), parameters.executor, others)
    _check_classes(study)
    return study


def _check_classes(study: Study) -> None:
    """Refuse a folder of ImageNet whose classes the networks do not have, before any work.

    torchvision's weights know ImageNet's 1000 classes in the order of their names; on a folder of fewer the labels
    would mean other classes, and every accuracy would be near 0.
    """
    spec = next((spec for spec in study.specs if spec.dataset == "imagenet"), None)
    if spec is None:
        return
    classes = study.sources.about(spec).num_classes
    if classes > spec.num_classes or (spec.pretrained and classes != spec.num_classes):
        raise SpecError(
            f"imagenet below {study.root} has {classes} classes, torchvision's weights have {spec.num_classes}: "
            "lay out all of them, or (Tables 3 and 4) set pretrained to false to train the base models on this folder"
        )


def measured(
    spec: StudySpec, method: str, value: float, metric: str = "top1", row: str = "", num_experts: int | None = None
) -> Measurement:
    """One number of the spec's seed; ``num_experts`` is the spec's unless given (0: the base alone)."""
    count = spec.num_experts if num_experts is None else num_experts
    return Measurement(seed=spec.seed, num_experts=count, method=method, metric=metric, value=round(value, 4), row=row)


def measures(spec: StudySpec, method: str, values: Mapping[str, float], row: str = "") -> Iterator[Measurement]:
    """Several metrics of one method."""
    for metric, value in values.items():
        yield measured(spec, method, value, metric, row)


def usual(
    study: Study, spec: StudySpec, outputs: Outputs, row: str = "", methods: Iterable[str] = ("expert", "bagging")
) -> Iterator[Measurement]:
    """Top-1 of the base, which has no row, and of ``methods`` (of :data:`ENSEMBLERS`); what the gate does."""
    yield measured(spec, "backbone", accuracy(outputs.base_logits, outputs.labels), num_experts=0)
    for method in methods:
        yield measured(spec, method, accuracy(ENSEMBLERS[method](outputs), outputs.labels), row=row)
    yield from measures(spec, "gate", study.gate_metrics(spec), row)


def record(
    name: str, parameters: SingleGateParameters, study: Study, measurements: Iterable[Measurement],
    costs: Sequence[Cost] = (), tables: dict[str, Table] | None = None, varies: Sequence[str] = (),
    pictures: dict[str, Picture] | None = None,
) -> StudyResult:  # fmt: skip
    """:func:`repro.study.record.record` of a study.

    ``varies`` names the spec's fields that differ from row to row, beside seed and number of experts; they are left
    out of the recorded spec.
    """
    spec = study.specs[0]
    width = "" if spec.width == 1 else f" at width {spec.width:g}"
    base = "several" if "base" in varies else spec.base + width
    expert = "several" if "expert" in varies else spec.expert + width
    left_out = dict.fromkeys(("seed", "num_experts", *varies), True)
    return write(name, parameters, study.runner, spec, left_out, base, expert, measurements, costs, tables, pictures)
