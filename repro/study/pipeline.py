"""A study: specs that share a store, a device and whatever artifacts they have in common, as exhibits ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from repro.method.ensemblers import Stacking
from repro.method.outputs import Losses, Outputs
from repro.models.cost import ModelCost, model_cost
from repro.models.moe import SingleGateMoE
from repro.study.algorithm1 import build, load_stacker
from repro.study.graph import Context
from repro.study.runner import Runner
from repro.study.single_gate import Steps, goal, goals, steps
from repro.study.sources import Sources
from repro.study.spec import StudySpec
from repro.study.store import Store


class Study:
    """Single-gate mixtures on one store; what is asked for is found there or made, with all that it rests on.

    Every method raises :class:`~repro.errors.TrainingError` if a training went wrong that its answer rests on, and
    :class:`~repro.errors.TimeIsUpError` when the time that the run was given is up.
    """

    def __init__(
        self, specs: Sequence[StudySpec], root: Path, device: torch.device, bases: Sequence[StudySpec] = (),
        executor: str = "serial",
    ) -> None:  # fmt: skip
        """``bases`` are specs of which the base model alone will be asked for (:meth:`base_outputs`).

        ``executor`` makes what can be made apart: ``serial`` (this process), ``processes``, ``submitit``, ``ray``.
        """
        self.specs = [*specs, *bases]
        self.root = Path(root)
        self.device = device
        self.store = Store(root)
        self.sources = Sources(self.root, device)
        self.runner = Runner(goals(specs, bases), Context(self.store, self.sources, device), executor)

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
        """The whole trained model."""
        of, load = self.steps(spec), self.runner.load
        return build(spec, load(of.base), load(of.gate), [load(expert) for expert in of.experts])

    def stackers(self, spec: StudySpec) -> list[Stacking]:
        """The K trained stacking ensemblers."""
        return [load_stacker(spec, self.runner.load(each)) for each in steps(spec).ensemblers]

    def steps(self, spec: StudySpec) -> Steps:
        """What a spec is made of; ``runner`` says of each how it was made."""
        return steps(spec)

    def summary(self) -> str:
        """One sentence: how much was found in the store and how much was made."""
        return self.runner.summary()

    @property
    def seconds(self) -> float:
        """Compute spent on everything that was used, now or earlier."""
        return self.runner.seconds

    def cost(self, spec: StudySpec) -> ModelCost:
        """Exact cost of the model of a spec."""
        return model_cost(spec.base, spec.expert, spec.num_classes, spec.image_size, spec.num_experts, spec.width)
