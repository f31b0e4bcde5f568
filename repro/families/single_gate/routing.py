"""Steps 2 and 3 of Algorithm 1: cluster the base's embeddings, define the initial gate g0, train the gate g.

Also per-class routing, the hierarchical classifiers that Table 5 compares with, where classes, not images, are
assigned; and the EM variant (Section 2.2), which after training asks which expert explains an image best, and trains
again. Axes: N training images, D embedding, C classes, K experts.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from repro.data.batches import batch_orders, epoch_order
from repro.errors import Frozen, SpecError, TimeIsUpError, TrainingError
from repro.models.cost import ModelCost
from repro.progress import late
from repro.randomness import derive, seeded_init
from repro.training.fit import Epoch, Step, Training, fit
from repro.training.recipe import Recipe

KMEANS = 2e-8  # seconds of one restart for each image, dimension and cluster, on one thread


class Routing(Frozen):
    """How images are assigned to experts; what the paper leaves open is a field here."""

    level: Literal["per-sample", "per-class", "confusion"] = Field(
        "per-sample",
        description="what is clustered: images (the paper), class means (HydraNets), or confused classes (HD-CNN)",
    )
    similarity: Literal["hard", "soft"] = Field(
        "hard", description="m: the closest centroid, or a softmax of -distance²"
    )
    temperature: float = Field(
        1.0, gt=0, description="soft m: in units of the mean squared distance to the own centroid"
    )
    normalize: bool = Field(False, description="embeddings scaled to length 1 before K-means")
    restarts: int = Field(3, ge=1, description="K-means restarts; the one with least inertia is kept")


class Clusters(NamedTuple):
    """Centroids ``[K, D]`` of the (scaled, if so asked) embeddings, and the mean squared distance to the own one."""

    centroids: Tensor
    spread: float


def _prepare(embeddings: Tensor, routing: Routing) -> Tensor:
    return F.normalize(embeddings, dim=1) if routing.normalize else embeddings


def _k_means(points: np.ndarray, number: int, restarts: int, seed: int) -> Any:
    from sklearn.cluster import KMeans  # seconds, which a run that finds its clusters in the store can spare
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    means = KMeans(number, init="k-means++", n_init=restarts, random_state=seed % 2**32)
    # One thread: with several, the order of its sums, and so the last bit, would differ from run to run.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return means.fit(points)


def cluster(embeddings: Tensor, num_experts: int, routing: Routing, seed: int) -> Clusters:
    """Step 2: K-means on the base model's embeddings ``[N, D]`` of the training images.

    Raises :class:`TrainingError` when a cluster is empty (fewer images, or distinct embeddings, than experts), and
    :class:`TimeIsUpError` before it begins, where the run has too little time left.
    """
    if len(embeddings) < num_experts:
        raise TrainingError(f"{len(embeddings)} images cannot make {num_experts} clusters; ask for fewer experts")
    if late(KMEANS * routing.restarts * num_experts * embeddings.numel()):
        raise TimeIsUpError(f"K-means of {num_experts} clusters: not begun")
    points = _prepare(embeddings.float().cpu(), routing).numpy()
    means = _k_means(points, num_experts, routing.restarts, derive(seed, "k-means", num_experts))
    if empty := num_experts - len(np.unique(means.labels_)):
        raise TrainingError(f"K-means left {empty} of {num_experts} clusters empty; ask for fewer experts")
    return Clusters(torch.from_numpy(means.cluster_centers_).float(), float(means.inertia_) / len(points))


def initial_gate(embeddings: Tensor, clusters: Clusters, routing: Routing) -> Tensor:
    """g0: ``m(φ(x), c_k)`` for every image, ``[N, K]``; rows sum to 1.

    ``hard`` gives all the weight to the closest centroid (the poster's "to the closest centroid");
    ``soft`` is ``softmax_k(-|φ(x) - c_k|² / (temperature · spread))``.
    """
    points = _prepare(embeddings.float(), routing)
    squared = torch.cdist(points, clusters.centroids.to(points), compute_mode="donot_use_mm_for_euclid_dist").square()
    if routing.similarity == "hard":
        return F.one_hot(squared.argmin(1), len(clusters.centroids)).float()
    return torch.softmax(-squared / (routing.temperature * max(clusters.spread, 1e-12)), dim=1)


def gate_loss(gate_logits: Tensor, g0: Tensor) -> Tensor:
    """Step 3: ``KL(g0, g)``, the mean over the batch of ``Σ_k g0 log(g0 / g)``; logits and g0 ``[B, K]``."""
    return F.kl_div(gate_logits.float().log_softmax(1), g0, reduction="batchmean")


def train_gate(
    embeddings: Tensor, g0: Tensor, recipe: Recipe, seed: int, device: torch.device
) -> tuple[nn.Linear, list[Epoch]]:
    """Step 3: the linear gate on pre-logits ``[N, D]``, trained to match ``g0`` ``[N, K]``, then frozen.

    Embeddings are standardised for the optimiser's sake, and the standardisation is folded back
    into the layer, which therefore takes raw pre-logits.
    """
    mean, std = embeddings.mean(0), embeddings.std(0) + 1e-6
    x, g0 = ((embeddings - mean) / std).to(device), g0.to(device)
    with seeded_init(seed, "gate", g0.shape[1]):
        gate = nn.Linear(x.shape[1], g0.shape[1]).to(device)

    def batches(epoch: int) -> tuple[int, Sequence[Tensor]]:
        orders = batch_orders(epoch_order(len(x), seed, epoch).to(device), recipe.batch_size)
        return len(orders), orders

    def step(rows: Tensor, done: float) -> Step:
        logits, target = gate(x[rows]), g0[rows]
        return Step(gate_loss(logits, target), (logits.argmax(1) == target.argmax(1)).sum(), len(logits))

    history = fit(Training(gate, recipe, step, device, f"gate of {g0.shape[1]} experts", seed), batches)
    with torch.no_grad():
        gate.weight.div_(std.to(device))
        gate.bias.sub_(gate.weight @ mean.to(device))
    return gate.requires_grad_(False), history


def smooth(g0: Tensor, gamma: float) -> Tensor:
    """Γ: ``clip(g0, γ, 1)`` (Section 2.2), ``[N, K]``; not renormalised, as the text defines it."""
    return g0.clamp(min=gamma, max=1.0)


def class_means(embeddings: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Mean embedding of each class, ``[C, D]``, of embeddings ``[N, D]`` with labels ``[N]``; of no image it is 0."""
    sums = torch.zeros(num_classes, embeddings.shape[1]).index_add_(0, labels, embeddings.float())
    return sums / torch.bincount(labels, minlength=num_classes).clamp(min=1)[:, None]


def cluster_class_means(means: Tensor, num_experts: int, restarts: int, seed: int) -> Tensor:
    """HydraNets' subtasks: K-means on class means ``[C, D]``, then clusters of equal size; class -> expert ``[C]``.

    Each centroid is given C/K classes. Classes are placed in the order of how near their nearest
    centroid is; a class whose centroid is full goes to the nearest that is not.
    """
    num_classes = len(means)
    _check(num_experts, num_classes)
    clustering = _k_means(means.numpy(), num_experts, restarts, derive(seed, "class k-means", num_experts))
    distances = torch.cdist(means.double(), torch.from_numpy(clustering.cluster_centers_).double())
    room = [num_classes // num_experts + (k < num_classes % num_experts) for k in range(num_experts)]
    expert_of = torch.full((num_classes,), -1)
    for flat in distances.flatten().argsort(stable=True).tolist():
        c, k = divmod(flat, num_experts)
        if expert_of[c] < 0 and room[k]:
            expert_of[c], room[k] = k, room[k] - 1
    return expert_of


def cluster_confused_classes(confused: Tensor, num_experts: int, seed: int) -> Tensor:
    """HD-CNN's coarse categories: classes that the base confuses go together; class -> expert ``[C]``.

    Spectral clustering with the symmetrised confusion matrix ``[C, C]``, the mean probabilities on images of each
    class, as affinity. Sizes are what they come out as.
    """
    from sklearn.cluster import SpectralClustering
    from threadpoolctl import threadpool_limits

    _check(num_experts, len(confused))
    if num_experts == 1:
        return torch.zeros(len(confused), dtype=torch.int64)
    affinity = ((confused + confused.T) / 2).double().numpy()
    np.fill_diagonal(affinity, 0.0)
    state = derive(seed, "confusion", num_experts) % 2**32
    with threadpool_limits(1):
        clustering = SpectralClustering(num_experts, affinity="precomputed", random_state=state).fit(affinity + 1e-8)
    if empty := num_experts - len(np.unique(clustering.labels_)):
        raise TrainingError(f"{empty} of {num_experts} groups of classes are empty; ask for fewer")
    return torch.from_numpy(clustering.labels_.astype(np.int64))


def _check(num_experts: int, num_classes: int) -> None:
    if num_experts > num_classes:
        raise SpecError(f"per-class routing needs at least one class an expert: {num_experts} > {num_classes}")


def posterior(gate_probs: Tensor, expert_losses: Tensor) -> Tensor:
    """E-step: ``p(k | x, y) = g(k|x) e_k(y|x) / Σ_j g(j|x) e_j(y|x)``, ``[N, K]``; rows sum to 1.

    The likelihood is Equation 1's, ``Σ_k g(k|x) e_k(y|x)``, with the expert's index as the hidden variable;
    ``expert_losses`` ``[N, K]`` are ``-log e_k(y|x)`` of every image and expert.

    The M-step trains the gate on it as Algorithm 1's step 3 trains it on g0, and every expert on its share.
    """
    return torch.softmax(gate_probs.double().clamp_min(1e-30).log() - expert_losses.double(), dim=1).float()


def moved(before: Tensor, after: Tensor) -> float:
    """The share of images whose most probable expert an E-step changes, of assignments ``[N, K]``; in [0, 1]."""
    return float((before.argmax(1) != after.argmax(1)).double().mean())


def mean_entropy(assignment: Tensor) -> float:
    """Mean entropy in nats of an assignment ``[N, K]``: 0 where every image has one expert, log K where none has."""
    return float(torch.special.entr(assignment.double()).sum(1).mean())


def training_macs(cost: ModelCost, num_images: int, epochs: int, visits: Sequence[float]) -> float:
    """Multiply-adds of training gate and experts, the base being there already.

    epochs  of every expert in each round
    visits  of each round: how often an image is visited in an epoch by all experts together, ``Σ_k Γ(g0(k|x))``

    A visit runs the trunk forward and the expert forward and backward (three times its forward). The first round
    embeds every image once; each further one runs the base and all experts once on every image, for the E-step.
    The linear gate on kept embeddings is left out: it is less than a thousandth.
    """
    visit = cost.trunk_macs + 3 * cost.expert_macs
    e_step = cost.base_macs + cost.num_experts * cost.expert_macs
    return num_images * (cost.base_macs + (len(visits) - 1) * e_step + epochs * sum(visits) * visit)
