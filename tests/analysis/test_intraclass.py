"""How a class splits, and chance levels, on cases worked by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_mutual_info_score

from repro.analysis.intraclass import (
    agreement_within_class,
    agreement_within_classes,
    class_counts,
    companions,
    confused_classes_share_the_expert,
    explained,
    explained_by_chance,
)
from repro.analysis.outputs import Outputs
from repro.analysis.specialisation import effective_number, shares_of_classes

LABELS = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2])
EXPERTS = torch.tensor([0, 0, 1, 1, 1, 1, 1, 2])
G0 = torch.eye(3)[EXPERTS]


def test_counts_shares_and_how_split_a_class_is() -> None:
    counts = class_counts(G0, LABELS, 3)
    assert counts.tolist() == [[2, 2, 0], [0, 2, 0], [0, 1, 1]]
    assert class_counts(torch.tensor([[0.75, 0.25]]), torch.tensor([0]), 1).tolist() == [[0.75, 0.25]], "soft: in parts"
    shares = shares_of_classes(counts)
    assert shares[0].tolist() == [0.5, 0.5, 0]
    assert effective_number(counts).tolist() == pytest.approx([2, 1, 2])


def test_companions_are_the_classes_with_most_images_there() -> None:
    counts = class_counts(G0, LABELS, 3)
    assert companions(counts, 0, 1, 5) == [1, 2] and companions(counts, 0, 1, 1) == [1]
    assert companions(counts, 0, 0, 5) == []


def test_variance_between_groups() -> None:
    values = np.array([[0.0], [2.0], [10.0], [12.0]])  # mean 6; groups at 1 and 11: 4 · 25 of 104
    assert explained(values, np.array([0, 0, 1, 1])) == pytest.approx(100 * 100 / 104)
    assert explained(values, np.zeros(4, int)) == 0 and explained(np.ones((3, 2)), np.arange(3)) == 0


def test_chance_is_the_mean_over_random_deals() -> None:
    draw = np.random.default_rng(0)
    values, group = draw.normal(size=(30, 4)), np.repeat([0, 1, 2], [5, 10, 15])
    dealt = [explained(values, draw.permutation(group)) for _ in range(2000)]
    assert np.mean(dealt) == pytest.approx(explained_by_chance(group), rel=0.03)


def test_agreement_within_a_class() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1])
    one, renamed = np.array([0, 0, 1, 1, 0, 0]), np.array([5, 5, 3, 3, 2, 2])
    assert agreement_within_class(one, renamed, labels, 0) == pytest.approx(100)
    assert agreement_within_class(one, renamed, labels, 1) is None  # neither splits it
    assert agreement_within_classes(one, renamed, labels) == pytest.approx(100)
    crossed = np.array([0, 1, 0, 1, 0, 0])
    expected = 100 * adjusted_mutual_info_score([0, 0, 1, 1], [0, 1, 0, 1])
    assert agreement_within_class(one, crossed, labels, 0) == pytest.approx(expected) and expected <= 0


def test_confusions_that_follow_the_expert() -> None:
    shares = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    # Class 0: its first image is in expert 1 and taken for class 1, its second in expert 2 and taken for class 2.
    outputs = Outputs(
        base_logits=torch.eye(3)[torch.tensor([1, 2, 1, 2])],
        gate_probs=torch.eye(2)[torch.tensor([0, 1, 0, 1])],
        expert_logits=torch.zeros(4, 2, 3),
        labels=torch.tensor([0, 0, 1, 2]),
    )
    assert confused_classes_share_the_expert(outputs, shares) == (100.0, 50.0)
    right = Outputs(torch.eye(3), torch.eye(2)[[0, 0, 1]], torch.zeros(3, 2, 3), torch.arange(3))
    assert confused_classes_share_the_expert(right, shares) is None
