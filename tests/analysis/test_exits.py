"""Exit rules, and choices on one half that are reported on the other: by hand, and that nothing leaks."""

import pytest
import torch

from repro.analysis import exits
from repro.analysis.anytime import THRESHOLDS, Answers
from repro.analysis.crossfit import Points, cheapest_reaching, chosen_on_test, halves, held_out, most_accurate, within
from repro.analysis.outputs import Outputs
from repro.models.cost import ModelCost


def outputs() -> Outputs:
    """Two samples, two classes, two experts."""
    return Outputs(
        base_logits=torch.tensor([[0.9, 0.1], [0.6, 0.4]]).log(),
        gate_probs=torch.tensor([[0.8, 0.2], [0.5, 0.5]]),
        expert_logits=torch.tensor([[[0.2, 0.8], [0.5, 0.5]], [[0.1, 0.9], [0.5, 0.5]]]).log(),
        labels=torch.tensor([0, 1]),
    )


def test_rules_and_stakes_by_hand() -> None:
    scores = {name: rule(outputs()) for name, rule in exits.RULES.items()}
    torch.testing.assert_close(scores["paper"], -torch.tensor([0.08, 0.2]))
    torch.testing.assert_close(scores["confidence"], torch.tensor([0.9, 0.6]))
    torch.testing.assert_close(scores["margin"], torch.tensor([0.8, 0.2]))
    torch.testing.assert_close(scores["gate"], -torch.tensor([0.8, 0.5]))
    torch.testing.assert_close(scores["entropy"], torch.tensor([-0.3250830, -0.6730117]))
    assert exits.features(outputs()).shape == (2, 2 + 1 + 2 + 1 + 1)
    at_stake = exits.stakes(outputs())  # bagged: (0.55, 0.45), (0.35, 0.65)
    assert at_stake.base.tolist() == [True, False] and at_stake.full.tolist() == [True, True]
    assert at_stake.gain.tolist() == [0, 1]


FOUR = exits.Stakes(
    torch.tensor([True, False, True, False]), torch.tensor([True, True, False, False])
)  # gains 0, 1, -1, 0
ALL = (torch.arange(4),)


def test_accuracies_by_hand() -> None:
    score = torch.tensor([4.0, 3.0, 2.0, 1.0])  # gains are 0, 1, -1, 0: exits nothing, lose one, win one, nothing
    assert exits.accuracies(score, FOUR, ALL, (0, 0.25, 0.5, 0.75, 1)) == [50, 50, 25, 50, 50]
    assert exits.accuracies(exits.oracle(FOUR), FOUR, ALL, (0, 0.25, 0.75, 1)) == [50, 75, 75, 50]
    assert exits.chance(FOUR, (0, 0.5, 1)) == [50, 50, 50]
    assert exits.accuracies(score, FOUR, (ALL[0][:2], ALL[0][2:]), (0.5,)) == [75], "each part exits its own share"
    assert exits.area((0, 0.5, 1), (10, 20, 10)) == pytest.approx(15)


def many(labels: torch.Tensor) -> Outputs:
    g = torch.Generator().manual_seed(1)
    n = len(labels)
    gate = torch.randn(n, 3, generator=g).softmax(-1)
    return Outputs(torch.randn(n, 4, generator=g), gate, torch.randn(n, 3, 4, generator=g), labels)


@pytest.mark.parametrize("name", sorted(exits.LEARNED))
def test_a_learned_rule_never_sees_the_labels_of_the_half_it_scores(name: str) -> None:
    labels = torch.randint(4, (200,), generator=torch.Generator().manual_seed(2))
    halves = (torch.arange(100), torch.arange(100, 200))
    before = exits.learned_rule(name, many(labels), exits.stakes(many(labels)), halves, seed=0)
    changed = labels.clone()
    changed[:100] = (changed[:100] + 1) % 4
    after = exits.learned_rule(name, many(changed), exits.stakes(many(changed)), halves, seed=0)
    assert torch.equal(before[:100], after[:100])  # scored by the half whose labels stayed
    assert not torch.equal(before[100:], after[100:])
    assert torch.equal(before, exits.learned_rule(name, many(labels), exits.stakes(many(labels)), halves, seed=0))
    nothing = exits.Stakes(*torch.ones(2, 200, dtype=torch.bool))  # is at stake, and nothing is learned
    assert len(exits.learned_rule(name, many(labels), nothing, halves, 0).unique()) == 1


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
    of_two = Points.of(Answers(right, torch.full((4, 2), -1.0)), cost, (torch.tensor([0, 1]), torch.tensor([2, 3])))
    assert of_two.top1[:, [0, -1]].tolist() == [[50.0, 100.0], [100.0, 50.0]]
    assert of_two.macs[:, [0, -1]].tolist() == [[10.0, 15.0]] * 2 and of_two.whole(of_two.top1)[0] == 75
    assert Points.joined([of_two, of_two]).top1.shape == (2, 2 * (len(THRESHOLDS) + 1))


def test_what_is_chosen_on_a_half_is_reported_on_the_other() -> None:
    candidates = points([70, 90], [80, 60], [1, 2])  # the halves disagree on which is better
    held = held_out(candidates, most_accurate)
    assert held is not None and held.chosen == (1, 0)
    assert held.top1 == pytest.approx((70 + 60) / 2)  # each half gets the other's choice
    after = held_out(points([70, 90], [10, 99], [1, 2]), most_accurate)  # of another second half
    assert after is not None and after.chosen[0] == held.chosen[0], "a choice never sees what it is reported on"
    naive = chosen_on_test(candidates, most_accurate)
    assert naive is not None and naive.top1 == pytest.approx(75) and naive.macs == 1  # of equals, the cheapest


def test_budgets_and_the_cheapest_that_loses_nothing() -> None:
    candidates = points([70, 80, 80], [70, 80, 80], [1, 3, 2])
    held = held_out(candidates, within(2.5))
    assert held is not None and held.chosen == (2, 2) and held.macs == 2
    cheapest = held_out(candidates, most_accurate)
    assert cheapest is not None and cheapest.chosen == (2, 2)  # of equals, the cheapest
    assert held_out(candidates, within(0.5)) is None and chosen_on_test(candidates, within(0.5)) is None
    held = held_out(points([70, 79.95, 80], [70, 79.85, 80], [1, 2, 3]), cheapest_reaching(2, 0.1))
    assert held is not None and held.chosen == (1, 2)
