"""K-means, the initial gate g0, the trained gate g (Algorithm 1, steps 2 and 3); by classes; the E-step; pairs."""

import math
from functools import partial
from typing import Any

import pytest
import torch

from repro.errors import SpecError, TimeIsUpError, TrainingError
from repro.families.single_gate.pairs import MEAN, means_over_pairs
from repro.families.single_gate.routing import (
    Clusters,
    Routing,
    class_means,
    cluster,
    cluster_class_means,
    cluster_confused_classes,
    gate_loss,
    initial_gate,
    mean_entropy,
    moved,
    posterior,
    smooth,
    train_gate,
    training_macs,
)
from repro.models.cost import ModelCost
from repro.study.results import Measurement
from repro.training.recipe import Recipe

CPU = torch.device("cpu")
RECIPE = Recipe(source="test", epochs=20, batch_size=32, learning_rate=0.2)


def blobs(per_blob: int = 40) -> torch.Tensor:
    """Three well separated groups of embeddings ``[3 * per_blob, 4]``."""
    centres = torch.eye(3, 4) * 10
    return (centres[:, None] + torch.randn(3, per_blob, 4, generator=torch.Generator().manual_seed(0))).flatten(0, 1)


def test_hard_and_soft_g0_by_hand() -> None:
    clusters = Clusters(torch.tensor([[0.0, 0.0], [4.0, 0.0]]), 1.0)
    g0 = initial_gate(torch.tensor([[1.0, 0.0], [3.0, 5.0], [0.0, -9.0]]), clusters, Routing(similarity="hard"))
    assert g0.tolist() == [[1, 0], [0, 1], [1, 0]]
    clusters = Clusters(torch.tensor([[0.0, 0.0], [2.0, 0.0]]), 2.0)
    soft = initial_gate(torch.tensor([[0.5, 0.0]]), clusters, Routing(similarity="soft", temperature=0.5))
    # squared distances 0.25 and 2.25, divided by temperature * spread = 1
    assert soft[0, 0].item() == pytest.approx(math.exp(-0.25) / (math.exp(-0.25) + math.exp(-2.25)), rel=1e-5)


@pytest.mark.parametrize(("similarity", "normalize"), [("hard", False), ("soft", False), ("soft", True)])
def test_clusters_are_found_and_every_expert_gets_data(similarity: Any, normalize: bool) -> None:
    points, routing = blobs(), Routing(similarity=similarity, normalize=normalize)
    g0 = initial_gate(points, cluster(points, 3, routing, 5), routing)
    assert all(len(set(group.tolist())) == 1 for group in g0.argmax(1).split(40)) and len(g0.argmax(1).unique()) == 3
    torch.testing.assert_close(g0.sum(1), torch.ones(len(points)))


def test_same_seed_same_clusters_other_seed_others() -> None:
    points = torch.randn(300, 8, generator=torch.Generator().manual_seed(1))
    first, again, other = (cluster(points, 6, Routing(restarts=1), seed).centroids for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    with pytest.raises(TrainingError, match="1 of 3 clusters empty"):
        cluster(torch.tensor([[0.0], [1.0]]).repeat(10, 1), 3, Routing(), 0)
    with pytest.raises(TrainingError, match=r"^2 images cannot make 3 clusters; ask for fewer experts$"):
        cluster(torch.eye(2), 3, Routing(), 0)


def test_gate_loss_by_hand_and_smoothing_clips_and_does_not_renormalise() -> None:
    g0, logits = torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([[0.0, 0.0], [0.0, math.log(3)]])
    # KL = log 2 for the first; for the second 0.5 log(0.5 / 0.25) + 0.5 log(0.5 / 0.75)
    expected = (math.log(2) + 0.5 * math.log(2) + 0.5 * math.log(2 / 3)) / 2
    assert gate_loss(logits, g0).item() == pytest.approx(expected, rel=1e-5)
    g0 = torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.39, 0.01]])
    torch.testing.assert_close(smooth(g0, 0.05), torch.tensor([[1.0, 0.05, 0.05], [0.6, 0.39, 0.05]]))
    assert torch.equal(smooth(g0, 0.0), g0)


def test_trained_gate_agrees_with_g0_on_raw_embeddings() -> None:
    points = blobs() * 3 + 5  # neither centred nor scaled: the layer must have taken that in
    g0 = initial_gate(points, cluster(points, 3, Routing(), 0), Routing())
    gate, history = train_gate(points, g0, RECIPE, 0, CPU)
    assert (gate(points).argmax(1) == g0.argmax(1)).all()
    assert history[-1].loss < 0.1 < history[0].loss
    assert not any(p.requires_grad for p in gate.parameters())


def test_k_means_that_would_not_end_in_time_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.families.single_gate.routing.late", lambda seconds: seconds > 1e-5)
    with pytest.raises(TimeIsUpError, match="K-means of 3 clusters: not begun"):
        cluster(blobs(), 3, Routing(), 0)
    assert len(cluster(blobs(10), 3, Routing(restarts=1), 0).centroids) == 3


def groups(expert_of: torch.Tensor) -> set[frozenset[int]]:
    """Which classes go together; numbering of the experts does not matter."""
    return {frozenset((expert_of == k).nonzero()[:, 0].tolist()) for k in expert_of.unique()}


def test_class_means_by_hand_and_near_classes_go_together() -> None:
    embeddings = torch.tensor([[0.0, 2.0], [4.0, 0.0], [2.0, 4.0], [1.0, 1.0]])
    assert class_means(embeddings, torch.tensor([0, 1, 0, 1]), 3).tolist() == [[1.0, 3.0], [2.5, 0.5], [0.0, 0.0]]
    means = torch.tensor([[0.0], [10.0], [0.2], [10.1], [20.0], [20.3]])
    assert groups(cluster_class_means(means, 3, 3, 0)) == {frozenset({0, 2}), frozenset({1, 3}), frozenset({4, 5})}
    # Centroids lie at 0.75 and 10. The one at 0.75 is full with its two nearest, so the third moves over.
    unbalanced = torch.tensor([[0.0], [0.5], [1.75], [10.0]])
    assert groups(cluster_class_means(unbalanced, 2, 5, 0)) == {frozenset({0, 1}), frozenset({2, 3})}
    means = torch.randn(11, 4, generator=torch.Generator().manual_seed(0))
    expert_of, again = (cluster_class_means(means, 4, 3, 0) for _ in range(2))
    assert sorted(torch.bincount(expert_of).tolist()) == [2, 3, 3, 3] and torch.equal(expert_of, again)


def test_confused_classes_go_together_whatever_the_sizes() -> None:
    """0-1-2 are taken for one another and so are 3-4; how often a class is right plays no part."""
    confused = torch.tensor(
        [[0.80, 0.10, 0.10, 0.00, 0.00], [0.20, 0.60, 0.20, 0.00, 0.00], [0.05, 0.05, 0.90, 0.00, 0.00],
         [0.00, 0.00, 0.01, 0.69, 0.30], [0.00, 0.00, 0.00, 0.02, 0.98]]
    )  # fmt: skip
    assert groups(cluster_confused_classes(confused, 2, 0)) == {frozenset({0, 1, 2}), frozenset({3, 4})}


def test_one_group_holds_every_class_and_more_experts_than_classes_are_said() -> None:
    for group in (partial(cluster_class_means, restarts=1), cluster_confused_classes):
        assert group(torch.eye(4), 1, seed=0).tolist() == [0, 0, 0, 0]
        with pytest.raises(SpecError, match="at least one class an expert: 4 > 3"):
            group(torch.eye(3), 4, seed=0)


def test_the_posterior_by_hand() -> None:
    """g = (0.8, 0.2), e = (0.1, 0.6): 0.08 against 0.12."""
    probabilities = posterior(torch.tensor([[0.8, 0.2]]), -torch.tensor([[0.1, 0.6]]).log())
    torch.testing.assert_close(probabilities, torch.tensor([[0.4, 0.6]]))
    for loss in (0.0, 2000.0):
        probabilities = posterior(torch.tensor([[1.0, 0.0], [1e-20, 1.0]]), torch.tensor([[loss, 0.0], [0.0, loss]]))
        torch.testing.assert_close(probabilities.sum(1), torch.ones(2))


def test_images_that_moved_and_entropy() -> None:
    before, after = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.5, 0.5], [0.9, 0.1]])
    assert moved(before, after) == 0.5 and moved(after, after) == 0
    assert mean_entropy(before) == 0
    expected = (math.log(2) - 0.9 * math.log(0.9) - 0.1 * math.log(0.1)) / 2
    assert mean_entropy(after) == pytest.approx(expected)


def test_what_training_takes_by_hand() -> None:
    """Trunk 10, head 5, expert 20: a visit is 10 + 3 * 20 = 70; an E-step with 2 experts 15 + 2 * 20 = 55 an image."""
    cost = ModelCost(2, 10, 5, 20, 1, 0, 0, 0, 0)
    assert training_macs(cost, 100, 3, [1.5]) == 100 * (15 + 3 * 1.5 * 70)
    assert training_macs(cost, 100, 3, [1.5, 2.0]) == 100 * (15 + 55 + 3 * 3.5 * 70)


def measurement(row: str, value: float, num_experts: int = 20, method: str = "bagging") -> Measurement:
    return Measurement(seed=0, num_experts=num_experts, method=method, metric="top1", value=value, row=row)


def test_a_base_counts_as_often_as_it_is_in_a_pair_and_a_number_that_a_pair_lacks_has_no_mean() -> None:
    rows = ("tr10-tr10", 60.0), ("at tr10-tr18", 61.0), ("tr18-tr18", 65.0)
    bases = ("tr10", 50.0, 0, "backbone"), ("tr18", 56.0, 0, "backbone"), ("tr10-tr10", 1.0, 20, "only one pair has it")
    pairs = ["tr10-tr10", "tr10-tr18", "tr18-tr18"]
    means = means_over_pairs([measurement(*each) for each in (*rows, *bases)], pairs)
    assert list(means) == [measurement(MEAN, 62.0), measurement(MEAN, 52.0, 0, "backbone")]
