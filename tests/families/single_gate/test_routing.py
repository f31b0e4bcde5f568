"""K-means, the initial gate g0, the trained gate g (Algorithm 1, steps 2 and 3)."""

import math

import pytest
import torch

from repro.errors import TimeIsUpError, TrainingError
from repro.families.single_gate.routing import Clusters, Routing, cluster, gate_loss, initial_gate, smooth, train_gate
from repro.training.recipe import Recipe

CPU = torch.device("cpu")
RECIPE = Recipe(source="test", epochs=20, batch_size=32, learning_rate=0.2)


def blobs(per_blob: int = 40) -> torch.Tensor:
    """Three well separated groups of embeddings ``[3 * per_blob, 4]``."""
    centres = torch.eye(3, 4) * 10
    return (centres[:, None] + torch.randn(3, per_blob, 4, generator=torch.Generator().manual_seed(0))).flatten(0, 1)


def test_hard_g0_is_the_closest_centroid() -> None:
    clusters = Clusters(torch.tensor([[0.0, 0.0], [4.0, 0.0]]), 1.0)
    g0 = initial_gate(torch.tensor([[1.0, 0.0], [3.0, 5.0], [0.0, -9.0]]), clusters, Routing(similarity="hard"))
    assert g0.tolist() == [[1, 0], [0, 1], [1, 0]]


def test_soft_g0_by_hand() -> None:
    clusters = Clusters(torch.tensor([[0.0, 0.0], [2.0, 0.0]]), 2.0)
    g0 = initial_gate(torch.tensor([[0.5, 0.0]]), clusters, Routing(similarity="soft", temperature=0.5))
    # squared distances 0.25 and 2.25, divided by temperature * spread = 1
    expected = math.exp(-0.25) / (math.exp(-0.25) + math.exp(-2.25))
    assert g0[0, 0].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("similarity", ["hard", "soft"])
@pytest.mark.parametrize("normalize", [False, True])
def test_gate_targets_sum_to_one(similarity: str, normalize: bool) -> None:
    routing = Routing(similarity=similarity, normalize=normalize)
    points = blobs()
    g0 = initial_gate(points, cluster(points, 3, routing, 0), routing)
    torch.testing.assert_close(g0.sum(1), torch.ones(len(points)))


def test_clusters_are_found_and_every_expert_gets_data() -> None:
    points = blobs()
    g0 = initial_gate(points, cluster(points, 3, Routing(), 5), Routing())
    assert g0.sum(0).tolist() == [40, 40, 40]
    assert all(len(set(group.tolist())) == 1 for group in g0.argmax(1).split(40))


def test_same_seed_same_clusters_other_seed_others() -> None:
    points = torch.randn(300, 8, generator=torch.Generator().manual_seed(1))
    first, again, other = (cluster(points, 6, Routing(restarts=1), seed).centroids for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_too_few_distinct_embeddings_is_said() -> None:
    with pytest.raises(TrainingError, match="1 of 3 clusters empty"):
        cluster(torch.tensor([[0.0], [1.0]]).repeat(10, 1), 3, Routing(), 0)


def test_fewer_images_than_experts_is_said() -> None:
    with pytest.raises(TrainingError, match=r"^2 images cannot make 3 clusters; ask for fewer experts$"):
        cluster(torch.eye(2), 3, Routing(), 0)


def test_gate_loss_by_hand() -> None:
    g0, logits = torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([[0.0, 0.0], [0.0, math.log(3)]])
    # KL = log 2 for the first; for the second 0.5 log(0.5 / 0.25) + 0.5 log(0.5 / 0.75)
    expected = (math.log(2) + 0.5 * math.log(2) + 0.5 * math.log(2 / 3)) / 2
    assert gate_loss(logits, g0).item() == pytest.approx(expected, rel=1e-5)


def test_trained_gate_agrees_with_g0_on_raw_embeddings() -> None:
    points = blobs() * 3 + 5  # neither centred nor scaled: the layer must have taken that in
    g0 = initial_gate(points, cluster(points, 3, Routing(), 0), Routing())
    gate, history = train_gate(points, g0, RECIPE, 0, CPU)
    assert (gate(points).argmax(1) == g0.argmax(1)).all()
    assert history[-1].loss < 0.1 < history[0].loss
    assert not any(p.requires_grad for p in gate.parameters())


def test_smoothing_clips_and_does_not_renormalise() -> None:
    g0 = torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.39, 0.01]])
    expected = torch.tensor([[1.0, 0.05, 0.05], [0.6, 0.39, 0.05]])
    torch.testing.assert_close(smooth(g0, 0.05), expected)
    assert torch.equal(smooth(g0, 0.0), g0)


def test_k_means_that_would_not_end_in_time_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repro.families.single_gate.routing.late", lambda seconds: seconds > 1e-5)
    with pytest.raises(TimeIsUpError, match="K-means of 3 clusters: not begun"):
        cluster(blobs(), 3, Routing(), 0)
    assert len(cluster(blobs(10), 3, Routing(restarts=1), 0).centroids) == 3
