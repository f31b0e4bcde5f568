"""Who is best on what, how classes split, and chance levels, worked by hand."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_mutual_info_score

from repro.analysis.outputs import Outputs
from repro.analysis.specialisation import (
    agreement_within_class,
    agreement_within_classes,
    chance_of_agreement,
    class_counts,
    companions,
    confused_classes_share_the_expert,
    effective_number,
    expert_losses,
    explained,
    explained_by_chance,
    in_order,
    likeness,
    shares_of_classes,
    together,
)

LABELS = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2])
EXPERTS = torch.tensor([0, 0, 1, 1, 1, 1, 1, 2])
G0 = torch.eye(3)[EXPERTS]
COUNTS = torch.tensor([[5, 5, 0], [10, 0, 0], [1, 1, 8], [0, 7, 3]])


def test_losses_of_every_expert() -> None:
    probabilities = torch.tensor([[[0.5, 0.5], [0.1, 0.9]]])
    outputs = Outputs(torch.zeros(1, 2), torch.tensor([[0.5, 0.5]]), probabilities.log(), torch.tensor([1]))
    torch.testing.assert_close(expert_losses(outputs), torch.tensor([[math.log(2), -math.log(0.9)]]))


def test_together_by_hand() -> None:
    found = together(torch.tensor([[1, 1], [4, 0], [0, 3]]))
    assert found.tolist() == [[0.5, 0.5, 0.5], [0.5, 1, 0], [0.5, 0, 1]]


def test_the_same_pattern_whatever_the_numbering_and_the_number_of_experts() -> None:
    first = together(COUNTS)
    assert likeness(first, together(COUNTS[:, [2, 0, 1]])) == pytest.approx(1)
    halved = torch.cat([COUNTS, COUNTS], 1)  # every expert split into two alike: all pairs half as often together
    assert likeness(first, together(halved)) == pytest.approx(1)
    assert likeness(first, together(torch.ones(4, 3, dtype=torch.int64))) == 0  # no pattern at all


def test_likeness_by_hand() -> None:
    """Pairs (01, 02, 12): 1, 0, 0 against 0, 1, 0; both centred: (2 * -1 + -1 * 2 + 1) / 9 over 6 / 9."""
    assert likeness(together(torch.eye(2)[[0, 0, 1]]), together(torch.eye(2)[[0, 1, 0]])) == pytest.approx(-0.5)


def test_chance_of_agreement_by_hand() -> None:
    """Shares (3/4, 1/4) and (1/2, 1/2): 3/8 + 1/8."""
    assert chance_of_agreement(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 1, 0]), 2) == pytest.approx(0.5)
    assert chance_of_agreement(torch.tensor([0, 0]), torch.tensor([1, 1]), 2) == 0


def test_the_order_in_which_the_structure_shows() -> None:
    """Experts have 16, 13 and 11 images; class 1 is expert 0's alone, class 0 in part."""
    classes, experts = in_order(COUNTS)
    assert experts.tolist() == [0, 1, 2]
    assert classes.tolist() == [1, 0, 3, 2]
    assert sorted(in_order(COUNTS.flip(1))[1].tolist()) == [0, 1, 2]


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
