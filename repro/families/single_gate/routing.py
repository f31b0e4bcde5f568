"""Steps 2 and 3 of Algorithm 1: cluster the base's embeddings, define the initial gate g0, train the gate g.

Axes: N training images, D embedding, K experts.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from repro.data.batches import batch_orders, epoch_order
from repro.errors import Frozen, TimeIsUpError, TrainingError
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


def cluster(embeddings: Tensor, num_experts: int, routing: Routing, seed: int) -> Clusters:
    """Step 2: K-means on the base model's embeddings ``[N, D]`` of the training images.

    Raises :class:`TrainingError` when a cluster is empty (fewer images, or distinct embeddings, than experts), and
    :class:`TimeIsUpError` before it begins, where the run has too little time left.
    """
    if len(embeddings) < num_experts:
        raise TrainingError(f"{len(embeddings)} images cannot make {num_experts} clusters; ask for fewer experts")
    if late(KMEANS * routing.restarts * num_experts * embeddings.numel()):
        raise TimeIsUpError(f"K-means of {num_experts} clusters: not begun")
    from sklearn.cluster import KMeans  # seconds, which a run that finds its clusters in the store can spare
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    points = _prepare(embeddings.float().cpu(), routing).numpy()
    state = derive(seed, "k-means", num_experts) % 2**32
    means = KMeans(num_experts, init="k-means++", n_init=routing.restarts, random_state=state)
    # One thread: with several, the order of its sums, and so the last bit, would differ from run to run.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        means.fit(points)
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
