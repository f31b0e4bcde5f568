"""Algorithm 1, step by step, every step's product kept in the store.

A :class:`Study` runs any number of specs on one store; what several of them need is made once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn

from repro.data.augment import Augmentation
from repro.errors import TrainingError
from repro.method.class_routing import (
    class_gate,
    class_means,
    cluster_class_means,
    cluster_confused_classes,
    confusion,
)
from repro.method.em import posterior
from repro.method.ensemblers import Stacking, train_stacking
from repro.method.experts import embed, train_base
from repro.method.fit import Report
from repro.method.one_pass import Pupil, train_experts
from repro.method.outputs import Losses, Outputs, compute_base_outputs, compute_losses, compute_outputs, percent
from repro.method.routing import cluster, initial_gate, smooth, train_gate
from repro.models.backbone import Backbone, Head
from repro.models.cost import ModelCost, model_cost
from repro.models.moe import SingleGateMoE
from repro.models.registry import build_backbone, build_head, freeze, new_expert, with_weights
from repro.randomness import seeded_init
from repro.study import spec as keys
from repro.study.artifact import Artifact, trained
from repro.study.jobs import Job
from repro.study.keeper import Keeper
from repro.study.sources import Sources
from repro.study.spec import StudySpec
from repro.study.store import Store


class Study:
    """Specs that share a store, a device and whatever artifacts they have in common."""

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
        self._keeper = Keeper(specs, bases, self.store, device, executor)
        self._keep, self._report = self._keeper.keep, self._keeper.report
        self._embeddings: dict[str, Tensor] = {}

    # --- Algorithm 1 -------------------------------------------------------------------------

    def run(self, spec: StudySpec) -> Outputs:
        """Algorithm 1 for one spec; returns what the trained model says of the evaluation set.

        If a training goes wrong, all that does not depend on it is still made; then :class:`TrainingError` says so.
        """
        with self._keeper.going_on(spec, self.do):
            self.train(spec)
            return self.outputs(spec)

    def train(self, spec: StudySpec) -> None:
        """Algorithm 1; after it, as many rounds of EM as the spec asks for (none, by default)."""
        if spec.em_steps:
            self.train(spec.before_em_step())
        self._base(spec)  # 1. the base model φ
        self._gate(spec)  # 2. clusters and g0; 3. the gate g
        self._experts(spec)  # 4. experts e_1 ... e_K
        if spec.stacking:
            for k in range(spec.num_experts):
                self._ensembler(spec, k)  # 5. ensembler d_k

    def do(self, job: Job) -> list[str]:
        """One step by itself, as a worker is asked for it; returns the hashes of all that this study made so far."""
        if job.step == "expert":
            self._expert(job.spec, job.k)
            if job.spec.stacking:
                self._ensembler(job.spec, job.k)
        else:
            (self._base if job.step == "base" else self._gate)(job.spec)
        return self._keeper.ledger.made()

    def _base(self, spec: StudySpec) -> Artifact:
        def make(checkpoint: Path) -> Artifact:
            with seeded_init(spec.seed_for("base"), "base", spec.base):
                base = build_backbone(spec.base, spec.num_classes, spec.width, spec.pretrained, spec.start)
            if spec.pretrained:
                return Artifact(base.state_dict())
            source = self.sources.batches(spec, "train", spec.base_recipe.augmentation)
            report = self._report(key, spec.base_recipe.epochs)
            history = train_base(base, source, spec.base_recipe, spec.seed_for("base"), self.device, checkpoint, report)
            return trained(base, history)

        key = keys.base_key(spec)
        return self._keep(key, make)

    def _gate(self, spec: StudySpec) -> Artifact:
        def make(checkpoint: Path) -> Artifact:
            embeddings = self._embed_training_set(spec)
            g0, kept = self._assignment(spec, embeddings)
            gate, history = train_gate(embeddings, g0, spec.gate_recipe, spec.seed_for("gate"), self.device)
            said = gate.cpu()(embeddings).argmax(1)
            sizes = g0.double().mean(0)
            metrics = {
                "agreement": percent(said == g0.argmax(1)),
                "smallest_share": 100 * float(sizes.min()),
                "largest_share": 100 * float(sizes.max()),
            }
            tensors = {"weight": gate.weight, "bias": gate.bias, "g0": g0, **kept}
            return Artifact(tensors, metrics, [list(epoch) for epoch in history])

        return self._keep(keys.gate_key(spec), make)

    def _assignment(self, spec: StudySpec, embeddings: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """g0 ``[N, K]`` of the training images, and what else is worth keeping of how it was made."""
        if spec.em_steps:
            losses = self.losses(spec.before_em_step())
            return posterior(losses.gate_probs, losses.experts), {}
        if spec.routing.level == "per-sample":
            clusters = cluster(embeddings, spec.num_experts, spec.routing, spec.seed)
            return initial_gate(embeddings, clusters, spec.routing), {"centroids": clusters.centroids}
        labels = self.sources.batches(spec, "train", Augmentation()).labels.cpu()
        if spec.routing.level == "per-class":
            means = class_means(embeddings, labels, spec.num_classes)
            expert_of = cluster_class_means(means, spec.num_experts, spec.routing.restarts, spec.seed)
        else:
            said = self.base(spec).head.fc(embeddings).softmax(1)
            expert_of = cluster_confused_classes(confusion(said, labels), spec.num_experts, spec.seed)
        return class_gate(expert_of, labels, spec.num_experts), {"class_to_expert": expert_of}

    def _experts(self, spec: StudySpec) -> None:
        """Experts that are missing are trained in one pass, where the trunk does not normalise by each batch."""
        made: list[int] = []
        wanted = [keys.expert_key(spec, k) for k in range(spec.num_experts)]
        if spec.trunk_batchnorm == "evaluation" and len(self._keeper.missing(wanted)) > 1:
            with self.store.making(self._keeper.missing(wanted)) as checkpoints:
                places = [(k, checkpoints[key.hash]) for k, key in enumerate(wanted) if key.hash in checkpoints]
                if places:  # none, if others made them all while this process waited
                    report = self._keeper.report_of_all([wanted[k] for k, _ in places], spec.expert_recipe.epochs)
                    for (k, _), artifact in zip(places, self._train_experts(spec, places, report), strict=True):
                        with suppress(TrainingError):  # one that is not finite: whoever asks for it next will hear
                            self._keeper.put(wanted[k], artifact)
                            made.append(k)
        for k in range(spec.num_experts):
            if k not in made:
                self._expert(spec, k)

    def _train_experts(self, spec: StudySpec, places: list[tuple[int, Path]], report: Report) -> list[Artifact]:
        pupils = [Pupil(k, self._new_expert(spec, k), self._share(spec, k), checkpoint) for k, checkpoint in places]
        source = self.sources.batches(spec, "train", spec.expert_recipe.augmentation)
        histories = train_experts(
            pupils, self.base(spec), source, spec.sharing, spec.expert_recipe, spec.seed_for("experts"), self.device,
            report, spec.trunk_batchnorm,
        )  # fmt: skip
        return [trained(pupil.expert, history) for pupil, history in zip(pupils, histories, strict=True)]

    def _expert(self, spec: StudySpec, k: int) -> Artifact:
        def make(checkpoint: Path) -> Artifact:
            report = self._report(key, spec.expert_recipe.epochs)
            return self._train_experts(spec, [(k, checkpoint)], report)[0]

        key = keys.expert_key(spec, k)
        return self._keep(key, make)

    def _ensembler(self, spec: StudySpec, k: int) -> Artifact:
        def make(checkpoint: Path) -> Artifact:
            share = self._share(spec, k)
            source = self.sources.batches(spec, "train", spec.expert_recipe.augmentation)
            stacker, history = train_stacking(
                self.base(spec), self.expert(spec, k), source, share, spec.sharing,
                spec.ensembler_recipe, spec.seed_for("ensemblers"), k, self.device,
            )  # fmt: skip
            return trained(stacker, history)

        return self._keep(keys.ensembler_key(spec, k), make)

    # --- what comes out ----------------------------------------------------------------------

    def outputs(self, spec: StudySpec) -> Outputs:
        """:class:`Outputs` on the evaluation set (test, or the held-out part of the training set)."""

        def make(checkpoint: Path) -> Artifact:
            source = self.sources.batches(spec, "evaluation", Augmentation())
            return Artifact(dict(vars(compute_outputs(self.moe(spec), source, self.device))))

        return Outputs(**self._keep(keys.outputs_key(spec), make).tensors)

    def base_outputs(self, spec: StudySpec) -> tuple[Tensor, Tensor]:
        """Logits ``[N, C]`` of the base alone on the evaluation set, and labels ``[N]``; no expert is needed."""

        def make(checkpoint: Path) -> Artifact:
            source = self.sources.batches(spec, "evaluation", Augmentation())
            logits, labels = compute_base_outputs(self.base(spec), source, self.device)
            return Artifact({"logits": logits, "labels": labels})

        tensors = self._keep(keys.base_outputs_key(spec), make).tensors
        return tensors["logits"], tensors["labels"]

    def losses(self, spec: StudySpec) -> Losses:
        """:class:`Losses` of base and experts on the training images, not augmented."""

        def make(checkpoint: Path) -> Artifact:
            source = self.sources.batches(spec, "train", spec.expert_recipe.augmentation)
            return Artifact(dict(vars(compute_losses(self.moe(spec), source, self.device))))

        return Losses(**self._keep(keys.losses_key(spec), make).tensors)

    def assignment(self, spec: StudySpec) -> Tensor:
        """g0 (or, after an E-step, the posterior) of every training image, ``[N, K]``."""
        return self._gate(spec).tensors["g0"]

    def class_to_expert(self, spec: StudySpec) -> Tensor:
        """The expert of each class, ``[C]``, under per-class routing."""
        return self._gate(spec).tensors["class_to_expert"]

    def base(self, spec: StudySpec) -> Backbone:
        """The trained base model, frozen."""
        tensors = self._base(spec).tensors
        base = with_weights(lambda: build_backbone(spec.base, spec.num_classes, spec.width), tensors)
        freeze(base)
        return base

    def gate(self, spec: StudySpec) -> nn.Linear:
        """The trained gate, frozen."""
        tensors = self._gate(spec).tensors
        gate = nn.Linear(tensors["weight"].shape[1], tensors["weight"].shape[0])
        gate.load_state_dict({name: tensors[name] for name in ("weight", "bias")})
        freeze(gate)
        return gate

    def expert(self, spec: StudySpec, k: int) -> Head:
        """Trained expert k, frozen."""
        expert = self._head(spec, self._expert(spec, k))
        freeze(expert)
        return expert

    def moe(self, spec: StudySpec) -> SingleGateMoE:
        """The whole trained model."""
        return SingleGateMoE(self.base(spec), self.gate(spec), [self.expert(spec, k) for k in range(spec.num_experts)])

    def stackers(self, spec: StudySpec) -> list[Stacking]:
        """The K trained stacking ensemblers."""
        stackers = [Stacking(spec.num_classes) for _ in range(spec.num_experts)]
        for k, stacker in enumerate(stackers):
            stacker.load_state_dict(self._ensembler(spec, k).tensors)
        return stackers

    def gate_metrics(self, spec: StudySpec) -> dict[str, float]:
        """Agreement of the gate with g0 on the training set, smallest and largest share of an expert; percent."""
        return self._gate(spec).metrics

    def summary(self) -> str:
        """One sentence: how much was found in the store and how much was made."""
        return self._keeper.ledger.summary()

    @property
    def seconds(self) -> float:
        """Compute spent on everything that was used, now or earlier."""
        return self._keeper.ledger.seconds

    def cost(self, spec: StudySpec) -> ModelCost:
        """Exact cost of the model of a spec."""
        return model_cost(spec.base, spec.expert, spec.num_classes, spec.image_size, spec.num_experts, spec.width)

    def _new_expert(self, spec: StudySpec, k: int) -> Head:
        """Expert k before its training: from the base and otherwise drawn, or from the EM step before."""
        if spec.em_steps:
            return self._head(spec, self._expert(spec.before_em_step(), k))
        with seeded_init(spec.seed, "expert", spec.expert, k):
            return new_expert(self.base(spec), spec.expert, spec.num_classes, spec.width, spec.expert_init)

    def _head(self, spec: StudySpec, artifact: Artifact) -> Head:
        return with_weights(lambda: build_head(spec.expert, spec.num_classes, spec.width), artifact.tensors)

    def _share(self, spec: StudySpec, k: int) -> Tensor:
        """Γ(g0(k|x)) of every training image, ``[N]``."""
        return smooth(self._gate(spec).tensors["g0"][:, k], spec.gamma)

    def _embed_training_set(self, spec: StudySpec) -> Tensor:
        """Pre-logits ``[N, D]`` of the training images, not augmented; gates of different K share them."""
        name = keys.base_key(spec).hash
        if name not in self._embeddings:
            source = self.sources.batches(spec, "train", spec.base_recipe.augmentation)
            self._embeddings = {name: embed(self.base(spec), source, self.device)}
        return self._embeddings[name]
