"""Per-class routing (Table 5): groups of classes worked by hand, and the errors."""

import pytest
import torch

from repro.errors import SpecError
from repro.families.single_gate.class_routing import class_means, cluster_class_means, cluster_confused_classes


def groups(expert_of: torch.Tensor) -> set[frozenset[int]]:
    """Which classes go together; numbering of the experts does not matter."""
    return {frozenset((expert_of == k).nonzero()[:, 0].tolist()) for k in expert_of.unique()}


def test_class_means_by_hand() -> None:
    embeddings = torch.tensor([[0.0, 2.0], [4.0, 0.0], [2.0, 4.0], [1.0, 1.0]])
    means = class_means(embeddings, torch.tensor([0, 1, 0, 1]), 2)
    assert means.tolist() == [[1.0, 3.0], [2.5, 0.5]]


def test_near_classes_go_together() -> None:
    means = torch.tensor([[0.0], [10.0], [0.2], [10.1], [20.0], [20.3]])
    assert groups(cluster_class_means(means, 3, 3, 0)) == {frozenset({0, 2}), frozenset({1, 3}), frozenset({4, 5})}


def test_groups_are_balanced_where_clusters_are_not() -> None:
    """Centroids lie at 0.75 and 10. The one at 0.75 is full with its two nearest, so the third moves over."""
    means = torch.tensor([[0.0], [0.5], [1.75], [10.0]])
    assert groups(cluster_class_means(means, 2, 5, 0)) == {frozenset({0, 1}), frozenset({2, 3})}


def test_sizes_differ_by_one_at_most_where_classes_do_not_divide() -> None:
    means = torch.randn(11, 4, generator=torch.Generator().manual_seed(0))
    found = cluster_class_means(means, 4, 3, 0)
    assert sorted(torch.bincount(found, minlength=4).tolist()) == [2, 3, 3, 3]
    assert torch.equal(found, cluster_class_means(means, 4, 3, 0)), "a function of the seed"


def test_confused_classes_go_together_whatever_the_sizes() -> None:
    """0-1-2 are taken for one another and so are 3-4; how often a class is right plays no part."""
    confused = torch.tensor(
        [
            [0.80, 0.10, 0.10, 0.00, 0.00],
            [0.20, 0.60, 0.20, 0.00, 0.00],
            [0.05, 0.05, 0.90, 0.00, 0.00],
            [0.00, 0.00, 0.01, 0.69, 0.30],
            [0.00, 0.00, 0.00, 0.02, 0.98],
        ]
    )
    assert groups(cluster_confused_classes(confused, 2, 0)) == {frozenset({0, 1, 2}), frozenset({3, 4})}


def test_one_group_holds_every_class() -> None:
    assert cluster_confused_classes(torch.eye(4), 1, 0).tolist() == [0, 0, 0, 0]
    assert cluster_class_means(torch.randn(4, 2), 1, 1, 0).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "group", [lambda x: cluster_class_means(x, 4, 1, 0), lambda x: cluster_confused_classes(x, 4, 0)]
)
def test_more_experts_than_classes_is_said(group) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SpecError, match="at least one class an expert: 4 > 3"):
        group(torch.eye(3))
