"""Adjusted mutual information within parts, of constant groupings, and its chance level."""

import pytest
import torch

from repro.analysis.agreement import PERMUTATIONS, agreement, agreement_within, chance

MODES = torch.arange(6).repeat_interleave(20)  # 6 modes of 3 classes
CLASSES = MODES // 2


def test_a_grouping_by_class_tells_nothing_within_a_class() -> None:
    assert agreement(CLASSES, MODES) > 0.7
    assert agreement_within(CLASSES, MODES, CLASSES) == 0
    assert agreement_within(MODES % 2, MODES, CLASSES) == pytest.approx(1)


def test_parts_are_weighed_by_size_and_those_without_choice_left_out() -> None:
    first = torch.tensor([0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1])
    second = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1, 7, 7, 7])
    parts = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2])
    assert agreement_within(first, second, parts) == pytest.approx(0.5)  # (4 * 1 + 4 * 0) / 8
    assert agreement_within(second, torch.zeros(11), parts) == 0


def test_chance_is_near_zero_and_below_what_is_really_there() -> None:
    level = chance(lambda grouping: agreement(grouping, MODES), MODES, 0)
    assert 0 < level < 0.15
    assert level == chance(lambda grouping: agreement(grouping, MODES), MODES, 0)
    assert level != chance(lambda grouping: agreement(grouping, MODES), MODES, 1)


def test_chance_within_parts_keeps_the_parts() -> None:
    seen = []

    def look(grouping: torch.Tensor) -> float:
        seen.append(grouping)
        return 0.0

    mixed = torch.randperm(120, generator=torch.Generator().manual_seed(0))  # parts that do not stand together
    chance(look, MODES[mixed], 0, CLASSES[mixed])
    assert len(seen) == PERMUTATIONS
    assert all(torch.equal(grouping // 2, CLASSES[mixed]) for grouping in seen)
    assert not any(torch.equal(grouping, MODES[mixed]) for grouping in seen)
