"""Algorithm 1: how each artifact of a single-gate mixture is made from those before it, and read as a network.

Makers take the spec, the context and the inputs of their step (see :class:`repro.study.graph.Inputs`); what an
artifact depends on is said in :mod:`repro.families.single_gate.steps`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.analysis.outputs import Losses, Outputs, percent
from repro.data.augment import Augmentation
from repro.data.batches import Batch, BatchSource
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.model import SingleGateMoE
from repro.families.single_gate.one_pass import NewExpert, embed, train_experts
from repro.families.single_gate.routing import (
    class_means,
    cluster,
    cluster_class_means,
    cluster_confused_classes,
    initial_gate,
    posterior,
    smooth,
    train_gate,
)
from repro.families.single_gate.stacking import Stacking, train_stacking
from repro.models.backbone import Backbone, Head
from repro.models.registry import build_head, freeze, init_expert, with_weights
from repro.randomness import seeded_init
from repro.study.artifact import Artifact, trained
from repro.study.graph import Context, Inputs
from repro.study.plain import load_base
from repro.training.classifier import on_all_images


def make_gate(spec: StudySpec, context: Context, inputs: Inputs) -> Artifact:
    """2. Clusters and the initial gate g0 (after an E-step, the posterior); 3. the gate g, trained to match it.

    Metrics are the agreement of g with g0 on the training set, the smallest and the largest share; percent.
    """
    base = load_base(spec, inputs["base"])
    source = context.sources.batches(spec, "train", spec.base_recipe.augmentation)
    name = f"embeddings of base {inputs.checksum('base')}"  # which gates of different K share
    embeddings = context.once(name, lambda: embed(base, source, context.device))
    if spec.em_steps:
        losses = inputs["losses"].tensors
        g0, followed_from = posterior(losses["gate_probs"], losses["experts"]), dict[str, Tensor]()
    else:
        g0, followed_from = _initial_gate(spec, context, base, embeddings)
    gate, history = train_gate(embeddings, g0, spec.gate_recipe, spec.seed_for("gate"), context.device)
    sizes = g0.double().mean(0)
    metrics = {
        "agreement": percent(gate.cpu()(embeddings).argmax(1) == g0.argmax(1)),
        "smallest_share": 100 * float(sizes.min()),
        "largest_share": 100 * float(sizes.max()),
    }
    tensors = {"weight": gate.weight, "bias": gate.bias, "g0": g0, **followed_from}
    return Artifact(tensors, metrics, [list(epoch) for epoch in history])


def _initial_gate(
    spec: StudySpec, context: Context, base: Backbone, embeddings: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """g0 ``[N, K]`` of the training images, and what it followed from."""
    seed = spec.seed
    if spec.routing.level == "per-sample":
        clusters = cluster(embeddings, spec.num_experts, spec.routing, seed)
        return initial_gate(embeddings, clusters, spec.routing), {"centroids": clusters.centroids}
    labels = context.sources.batches(spec, "train", Augmentation()).labels.cpu()
    if spec.routing.level == "per-class":
        means = class_means(embeddings, labels, spec.num_classes)
        expert_of = cluster_class_means(means, spec.num_experts, spec.routing.restarts, seed)
    else:
        confused = class_means(base.cpu().head.fc(embeddings).softmax(1), labels, spec.num_classes)
        expert_of = cluster_confused_classes(confused, spec.num_experts, seed)
    return F.one_hot(expert_of[labels], spec.num_experts).float(), {"class_to_expert": expert_of}


def make_experts(spec: StudySpec, context: Context, several: Sequence[Inputs]) -> list[Artifact]:
    """4. Experts e_k in one pass over the frozen trunk, each on its share of the training images."""
    experts = [NewExpert(of.step.config["k"], new_head(spec, of), share_of(spec, of), of.checkpoint) for of in several]
    base, source = load_base(spec, several[0]["base"]), _expert_images(spec, context)
    histories = train_experts(
        experts, base, source, spec.sharing, spec.recipe_of_experts, spec.seed_for("experts"), context.device,
        several[0].report, spec.trunk_batchnorm,
    )  # fmt: skip
    return [trained(new.expert, history) for new, history in zip(experts, histories, strict=True)]


def make_ensembler(spec: StudySpec, context: Context, inputs: Inputs) -> Artifact:
    """5. The stacking ensembler d_k of expert k."""
    stacker, history = train_stacking(
        load_base(spec, inputs["base"]), load_head(spec, inputs["expert"]), _expert_images(spec, context),
        share_of(spec, inputs), spec.sharing, spec.ensembler_recipe, spec.seed_for("ensemblers"),
        inputs.step.config["k"], context.device,
    )  # fmt: skip
    return trained(stacker, history)


def make_predictions(spec: StudySpec, context: Context, inputs: Inputs) -> Artifact:
    """:class:`~repro.analysis.outputs.Outputs` of the whole model on the evaluation set."""
    source = context.sources.batches(spec, "evaluation", Augmentation())
    return Artifact(dict(vars(compute_outputs(_whole(spec, inputs), source, context.device))))


def compute_outputs(moe: SingleGateMoE, source: BatchSource, device: torch.device) -> Outputs:
    """Every expert on every image, not augmented."""
    base, gate, experts = on_all_images(moe, source, device, lambda batch: (out.float() for out in moe(batch.images)))
    return Outputs(base, gate, experts, source.labels.cpu())


def make_losses(spec: StudySpec, context: Context, inputs: Inputs) -> Artifact:
    """:class:`~repro.analysis.outputs.Losses` of base and experts on the training images, not augmented."""

    def answer(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        base_logits, gate_probs, expert_logits = (out.float() for out in moe(batch.images))
        labels = batch.labels[:, None].expand(-1, moe.num_experts)
        return (
            F.cross_entropy(base_logits, batch.labels, reduction="none"),
            F.cross_entropy(expert_logits.movedim(2, 1), labels, reduction="none"),
            gate_probs,
        )

    moe = _whole(spec, inputs)
    losses = Losses(*on_all_images(moe, _expert_images(spec, context), context.device, answer))
    return Artifact(dict(vars(losses)))


def _expert_images(spec: StudySpec, context: Context) -> BatchSource:
    return context.sources.batches(spec, "train", spec.expert_recipe.augmentation)


def new_head(spec: StudySpec, inputs: Inputs) -> Head:
    """Expert k before its training: from the base and otherwise drawn, or from the EM step before."""
    if spec.em_steps:
        return _head(spec, inputs["expert"], copied=True)
    with seeded_init(spec.seed, "expert", spec.expert, inputs.step.config["k"]):
        fresh = build_head(spec.expert, spec.num_classes, spec.width)
        return init_expert(load_base(spec, inputs["base"]), fresh, spec.expert_init)


def share_of(spec: StudySpec, inputs: Inputs) -> Tensor:
    """Γ(g0(k|x)) of every training image, ``[N]``."""
    return smooth(inputs["gate"].tensors["g0"][:, inputs.step.config["k"]], spec.gamma)


# --- artifacts as networks -----------------------------------------------------------------------


def load_gate(artifact: Artifact) -> nn.Linear:
    """The trained gate, frozen."""
    weights = {name: artifact.tensors[name] for name in ("weight", "bias")}
    num_experts, width = weights["weight"].shape
    return freeze(with_weights(lambda: nn.Linear(width, num_experts), weights))


def _head(spec: StudySpec, artifact: Artifact, copied: bool = False) -> Head:
    """The head of an artifact; ``copied`` where it goes on to be trained, and the artifact shall stay as it is."""
    tensors = {name: tensor.clone() if copied else tensor for name, tensor in artifact.tensors.items()}
    return with_weights(lambda: build_head(spec.expert, spec.num_classes, spec.width), tensors)


def load_head(spec: StudySpec, artifact: Artifact) -> Head:
    """A trained expert, frozen."""
    return freeze(_head(spec, artifact))


def load_stacker(spec: StudySpec, artifact: Artifact) -> Stacking:
    """A trained stacking ensembler."""
    return with_weights(lambda: Stacking(spec.num_classes), artifact.tensors)


def build(spec: StudySpec, base: Artifact, gate: Artifact, experts: Sequence[Artifact]) -> SingleGateMoE:
    """The whole trained model."""
    return SingleGateMoE(load_base(spec, base), load_gate(gate), [load_head(spec, expert) for expert in experts])


def _whole(spec: StudySpec, inputs: Inputs) -> SingleGateMoE:
    return build(spec, inputs["base"], inputs["gate"], inputs.all("expert"))
