"""Per-class routing, the hierarchical classifiers that Table 5 compares with: classes, not images, are assigned.

Axes: N training images, D embedding, C classes, K experts.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from repro.errors import SpecError, TrainingError
from repro.randomness import derive


def class_means(embeddings: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Mean embedding of each class, ``[C, D]``, of embeddings ``[N, D]`` with labels ``[N]``; of no image it is 0."""
    sums = torch.zeros(num_classes, embeddings.shape[1]).index_add_(0, labels, embeddings.float())
    return sums / torch.bincount(labels, minlength=num_classes).clamp(min=1)[:, None]


def cluster_class_means(means: Tensor, num_experts: int, restarts: int, seed: int) -> Tensor:
    """HydraNets' subtasks: K-means on class means ``[C, D]``, then clusters of equal size; class -> expert ``[C]``.

    Each centroid is given C/K classes. Classes are placed in the order of how near their nearest
    centroid is; a class whose centroid is full goes to the nearest that is not.
    """
    from sklearn.cluster import KMeans  # seconds, spared where groups are found in the store
    from threadpoolctl import threadpool_limits

    num_classes = len(means)
    _check(num_experts, num_classes)
    state = derive(seed, "class k-means", num_experts) % 2**32
    with threadpool_limits(1):
        clustering = KMeans(num_experts, init="k-means++", n_init=restarts, random_state=state).fit(means.numpy())
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
