"""Who is best on what, worked by hand."""

import math

import pytest
import torch

from repro.analysis.outputs import Outputs
from repro.analysis.specialisation import (
    chance_of_agreement,
    class_counts,
    expert_losses,
    in_order,
    least_loss_experts,
    likeness,
    main_expert,
    split_classes,
    together,
)

COUNTS = torch.tensor([[5, 5, 0], [10, 0, 0], [1, 1, 8], [0, 7, 3]])


def test_the_least_loss_wins() -> None:
    assert least_loss_experts(torch.tensor([[0.3, 0.2], [0.0, 5.0], [1.0, 1.0]])).tolist() == [1, 0, 0]
    probabilities = torch.tensor([[[0.5, 0.5], [0.1, 0.9]]])
    outputs = Outputs(torch.zeros(1, 2), torch.tensor([[0.5, 0.5]]), probabilities.log(), torch.tensor([1]))
    torch.testing.assert_close(expert_losses(outputs), torch.tensor([[math.log(2), -math.log(0.9)]]))


def test_counts_by_class() -> None:
    counts = class_counts(torch.tensor([0, 2, 2, 1]), torch.tensor([1, 1, 1, 0]), 3, 3)
    assert counts.tolist() == [[0, 1, 0], [1, 0, 2], [0, 0, 0]]


def test_main_experts_and_a_split_is_a_fifth_with_two_or_more() -> None:
    assert main_expert(COUNTS).tolist() == [0, 0, 2, 1]
    assert split_classes(COUNTS).tolist() == [True, False, False, True]
    assert split_classes(torch.tensor([[8, 2], [81, 19]])).tolist() == [True, False]


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
