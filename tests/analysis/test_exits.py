"""Exit rules worked by hand, and that a learned one never sees what it is used on."""

import pytest
import torch

from repro.analysis.exits import (
    LEARNED,
    RULES,
    Stakes,
    accuracies,
    area,
    chance,
    features,
    learned_rule,
    oracle,
    stakes,
)
from repro.analysis.outputs import Outputs


def outputs() -> Outputs:
    """Two samples, two classes, two experts."""
    return Outputs(
        base_logits=torch.tensor([[0.9, 0.1], [0.6, 0.4]]).log(),
        gate_probs=torch.tensor([[0.8, 0.2], [0.5, 0.5]]),
        expert_logits=torch.tensor([[[0.2, 0.8], [0.5, 0.5]], [[0.1, 0.9], [0.5, 0.5]]]).log(),
        labels=torch.tensor([0, 1]),
    )


def test_rules_by_hand() -> None:
    found = {name: rule(outputs()) for name, rule in RULES.items()}
    torch.testing.assert_close(found["paper"], -torch.tensor([0.08, 0.2]))
    torch.testing.assert_close(found["confidence"], torch.tensor([0.9, 0.6]))
    torch.testing.assert_close(found["margin"], torch.tensor([0.8, 0.2]))
    torch.testing.assert_close(found["gate"], -torch.tensor([0.8, 0.5]))
    torch.testing.assert_close(found["entropy"], torch.tensor([-0.3250830, -0.6730117]))
    assert features(outputs()).shape == (2, 2 + 1 + 2 + 1 + 1)


def test_stakes_by_hand() -> None:
    at_stake = stakes(outputs())  # bagged: (0.55, 0.45), (0.35, 0.65)
    assert at_stake.base.tolist() == [True, False] and at_stake.full.tolist() == [True, True]
    assert at_stake.gain.tolist() == [0, 1]


FOUR = Stakes(torch.tensor([True, False, True, False]), torch.tensor([True, True, False, False]))  # gains 0, 1, -1, 0
ALL = (torch.arange(4),)


def test_accuracies_by_hand() -> None:
    score = torch.tensor([4.0, 3.0, 2.0, 1.0])  # exits in this order: nothing, lose one, win one, nothing
    assert accuracies(score, FOUR, ALL, (0, 0.25, 0.5, 0.75, 1)) == [50, 50, 25, 50, 50]
    assert accuracies(oracle(FOUR), FOUR, ALL, (0, 0.25, 0.75, 1)) == [50, 75, 75, 50]
    assert chance(FOUR, (0, 0.5, 1)) == [50, 50, 50]


def test_no_rule_beats_the_oracle_and_all_share_their_ends() -> None:
    g = torch.Generator().manual_seed(0)
    at_stake = Stakes(torch.rand(50, generator=g) < 0.6, torch.rand(50, generator=g) < 0.7)
    halves = (torch.arange(25), torch.arange(25, 50))
    shares = [i / 25 for i in range(26)]
    best = accuracies(oracle(at_stake), at_stake, halves, shares)
    some = accuracies(torch.rand(50, generator=g), at_stake, halves, shares)
    assert all(a >= b for a, b in zip(best, some, strict=True))
    assert (best[0], best[-1]) == (some[0], some[-1])
    line = chance(at_stake, shares)
    assert line[0] == pytest.approx(best[0]) and line[-1] == pytest.approx(best[-1])


def test_area_is_the_mean_of_a_curve() -> None:
    assert area((0, 0.5, 1), (10, 20, 10)) == pytest.approx(15)


def many(labels: torch.Tensor) -> Outputs:
    g = torch.Generator().manual_seed(1)
    n = len(labels)
    gate = torch.randn(n, 3, generator=g).softmax(-1)
    return Outputs(torch.randn(n, 4, generator=g), gate, torch.randn(n, 3, 4, generator=g), labels)


@pytest.mark.parametrize("name", sorted(LEARNED))
def test_a_learned_rule_never_sees_the_labels_of_the_half_it_scores(name: str) -> None:
    labels = torch.randint(4, (200,), generator=torch.Generator().manual_seed(2))
    halves = (torch.arange(100), torch.arange(100, 200))
    before = learned_rule(name, many(labels), stakes(many(labels)), halves, seed=0)
    changed = labels.clone()
    changed[:100] = (changed[:100] + 1) % 4
    after = learned_rule(name, many(changed), stakes(many(changed)), halves, seed=0)
    assert torch.equal(before[:100], after[:100])  # scored by the half whose labels stayed
    assert not torch.equal(before[100:], after[100:])
    assert torch.equal(before, learned_rule(name, many(labels), stakes(many(labels)), halves, seed=0))


def test_a_half_with_nothing_at_stake_teaches_nothing() -> None:
    labels = torch.zeros(20, dtype=torch.int64)
    at_stake = Stakes(torch.ones(20, dtype=torch.bool), torch.ones(20, dtype=torch.bool))
    halves = (torch.arange(10), torch.arange(10, 20))
    assert learned_rule("logistic", many(labels), at_stake, halves, 0).abs().sum() == 0
