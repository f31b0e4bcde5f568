"""Choices on one half, reported on the other: by hand, and that nothing leaks."""

import pytest
import torch

from repro.analysis.answers import THRESHOLDS, Answers
from repro.analysis.crossfit import Points, cheapest_reaching, chosen_on_test, halves, held_out, most_accurate, within
from repro.models.cost import ModelCost


def points(first: list[float], second: list[float], macs: list[float]) -> Points:
    return Points(torch.tensor([first, second]).double(), torch.tensor([macs, macs]).double(), (5, 5))


def test_halves_are_disjoint_and_follow_the_seed() -> None:
    a, b = halves(11, 3)
    assert sorted([*a.tolist(), *b.tolist()]) == list(range(11)) and len(a) == 5
    assert torch.equal(a, halves(11, 3)[0]) and not torch.equal(a, halves(11, 4)[0])


def test_points_by_hand() -> None:
    """Two experts, one threshold that none passes and the full mixture: 10, or 10 and an expert of 5 MACs."""
    right = torch.tensor([[True, True, True], [False, True, True], [True, True, True], [True, False, True]])
    cost = ModelCost(2, 4, 6, 5, 0, 0, 0, 0, 0)
    found = Points.of(Answers(right, torch.full((4, 2), -1.0)), cost, (torch.tensor([0, 1]), torch.tensor([2, 3])))
    assert found.top1[:, [0, -1]].tolist() == [[50.0, 100.0], [100.0, 50.0]]
    assert found.macs[:, [0, -1]].tolist() == [[10.0, 15.0]] * 2 and found.whole(found.top1)[0] == 75
    assert Points.joined([found, found]).top1.shape == (2, 2 * (len(THRESHOLDS) + 1))


def test_what_is_chosen_on_a_half_is_reported_on_the_other() -> None:
    found = points([70, 90], [80, 60], [1, 2])  # the halves disagree on which is better
    held = held_out(found, most_accurate)
    assert held is not None and held.chosen == (1, 0)
    assert held.top1 == pytest.approx((70 + 60) / 2)  # each half gets the other's choice
    naive = chosen_on_test(found, most_accurate)
    assert naive is not None and naive.top1 == pytest.approx(75) and naive.macs == 1  # of equals, the cheapest


def test_a_choice_never_sees_what_it_is_reported_on() -> None:
    before = points([70, 90], [80, 60], [1, 2])
    after = points([70, 90], [10, 99], [1, 2])  # the second half changed: the first half's choice must not
    (first, again) = (held_out(which, most_accurate) for which in (before, after))
    assert first is not None and again is not None and first.chosen[0] == again.chosen[0]


def test_budgets() -> None:
    found = points([70, 80, 80], [70, 80, 80], [1, 3, 2])
    held = held_out(found, within(2.5))
    assert held is not None and held.chosen == (2, 2) and held.macs == 2
    cheapest = held_out(found, most_accurate)
    assert cheapest is not None and cheapest.chosen == (2, 2)  # of equals, the cheapest
    assert held_out(found, within(0.5)) is None and chosen_on_test(found, within(0.5)) is None


def test_the_cheapest_that_loses_nothing() -> None:
    found = points([70, 79.95, 80], [70, 79.85, 80], [1, 2, 3])
    held = held_out(found, cheapest_reaching(2, 0.1))
    assert held is not None and held.chosen == (1, 2)
