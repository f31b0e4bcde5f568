"""Who is best on what, how classes and tokens split, agreement and chance levels, worked by hand."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_mutual_info_score

from repro.analysis.chosen_experts import (
    expert_maps,
    experts_per_image,
    mutual_information,
    occurrence,
    patch_distribution,
    similarity,
    tokens_per_image,
)
from repro.analysis.outputs import Outputs
from repro.analysis.specialisation import (
    PERMUTATIONS,
    agreement,
    agreement_within,
    agreement_within_class,
    agreement_within_classes,
    chance,
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


def test_together_likeness_and_losses_by_hand() -> None:
    pairs = together(torch.tensor([[1, 1], [4, 0], [0, 3]]))
    assert pairs.tolist() == [[0.5, 0.5, 0.5], [0.5, 1, 0], [0.5, 0, 1]]
    # Pairs (01, 02, 12): 1, 0, 0 against 0, 1, 0; both centred: (2 * -1 + -1 * 2 + 1) / 9 over 6 / 9.
    assert likeness(together(torch.eye(2)[[0, 0, 1]]), together(torch.eye(2)[[0, 1, 0]])) == pytest.approx(-0.5)
    first = together(COUNTS)
    assert likeness(first, together(COUNTS[:, [2, 0, 1]])) == pytest.approx(1), "whatever the numbering"
    halved = torch.cat([COUNTS, COUNTS], 1)  # every expert split into two alike: all pairs half as often together
    assert likeness(first, together(halved)) == pytest.approx(1)
    assert likeness(first, together(torch.ones(4, 3, dtype=torch.int64))) == 0  # no pattern at all
    # Shares (3/4, 1/4) and (1/2, 1/2): 3/8 + 1/8.
    assert chance_of_agreement(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 1, 0]), 2) == pytest.approx(0.5)
    probabilities = torch.tensor([[[0.5, 0.5], [0.1, 0.9]]])
    outputs = Outputs(torch.zeros(1, 2), torch.tensor([[0.5, 0.5]]), probabilities.log(), torch.tensor([1]))
    torch.testing.assert_close(expert_losses(outputs), torch.tensor([[math.log(2), -math.log(0.9)]]))


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
    assert shares_of_classes(counts)[0].tolist() == [0.5, 0.5, 0]
    assert effective_number(counts).tolist() == pytest.approx([2, 1, 2])
    assert companions(counts, 0, 1, 5) == [1, 2] and companions(counts, 0, 1, 1) == [1]
    assert companions(counts, 0, 0, 5) == []


def test_variance_between_groups_whose_chance_is_the_mean_over_random_deals() -> None:
    values = np.array([[0.0], [2.0], [10.0], [12.0]])  # mean 6; groups at 1 and 11: 4 · 25 of 104
    assert explained(values, np.array([0, 0, 1, 1])) == pytest.approx(100 * 100 / 104)
    assert explained(values, np.zeros(4, int)) == 0 and explained(np.ones((3, 2)), np.arange(3)) == 0
    draw = np.random.default_rng(0)
    values, group = draw.normal(size=(30, 4)), np.repeat([0, 1, 2], [5, 10, 15])
    dealt = [explained(values, draw.permutation(group)) for _ in range(1000)]
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
        torch.eye(3)[[1, 2, 1, 2]], torch.eye(2)[[0, 1, 0, 1]], torch.zeros(4, 2, 3), torch.tensor([0, 0, 1, 2])
    )
    assert confused_classes_share_the_expert(outputs, shares) == (100.0, 50.0)
    right = Outputs(torch.eye(3), torch.eye(2)[[0, 0, 1]], torch.zeros(3, 2, 3), torch.arange(3))
    assert confused_classes_share_the_expert(right, shares) is None


MODES = torch.arange(6).repeat_interleave(20)  # 6 modes of 3 classes
CLASSES = MODES // 2


def test_parts_are_weighed_by_size_and_those_without_choice_left_out() -> None:
    first = torch.tensor([0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1])
    second = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1, 7, 7, 7])
    parts = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2])
    assert agreement_within(first, second, parts) == pytest.approx(0.5)  # (4 * 1 + 4 * 0) / 8
    assert agreement_within(second, torch.zeros(11), parts) == 0
    assert agreement_within(CLASSES, MODES, CLASSES) == 0, "a grouping by class tells nothing within a class"
    assert agreement_within(MODES % 2, MODES, CLASSES) == pytest.approx(1)
    level, again, other = (chance(lambda grouping: agreement(grouping, MODES), MODES, seed) for seed in (0, 0, 1))
    assert 0 < level < 0.15 < 0.7 < agreement(CLASSES, MODES) and level == again != other


def test_chance_within_parts_keeps_the_parts() -> None:
    seen: list[torch.Tensor] = []
    mixed = torch.randperm(120, generator=torch.Generator().manual_seed(0))  # parts that do not stand together

    def look(grouping: torch.Tensor) -> float:
        seen.append(grouping)
        return 0.0

    chance(look, MODES[mixed], 0, CLASSES[mixed])
    assert len(seen) == PERMUTATIONS and not any(torch.equal(grouping, MODES[mixed]) for grouping in seen)
    assert all(torch.equal(grouping // 2, CLASSES[mixed]) for grouping in seen)


TOKENS = torch.tensor([[0, 0, 0, 1], [1, 1, 2, 2]])[..., None]
OF_IMAGES = torch.tensor([[3, 1, 0], [0, 2, 2]])


def test_counts_by_hand() -> None:
    assert torch.equal(tokens_per_image(TOKENS, 3), OF_IMAGES)
    two_choices = torch.cat([TOKENS, (TOKENS + 1) % 3], 2)
    assert tokens_per_image(two_choices, 3).tolist() == [[3, 4, 1], [2, 2, 4]]
    counts = torch.cat([OF_IMAGES, OF_IMAGES[:1]])
    assert occurrence(counts, torch.tensor([1, 0, 1]), 3).tolist() == [[0, 2, 2], [6, 2, 0], [0, 0, 0]]
    assert experts_per_image(torch.tensor([[4, 0, 0], [2, 1, 1]])) == 2.0
    assert patch_distribution(OF_IMAGES, 4).tolist() == [[0, 0, 1, 1], [0.5, 1, 1, 1], [0, 1, 1, 1]]
    maps = expert_maps(torch.cat([TOKENS, 9 + 0 * TOKENS], 2), 4)  # of first choices in reading order
    assert maps[0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]


def test_similarity_is_the_printed_formula() -> None:
    """With its two sums over the images that have both experts, and either."""
    counts = torch.randint(0, 4, (50, 5), generator=torch.Generator().manual_seed(0))
    for i, j in product(range(5), repeat=2):
        a, b = counts[:, i].double(), counts[:, j].double()
        both, either = (a > 0) & (b > 0), (a > 0) | (b > 0)
        printed = (a + b - (a - b).abs())[both].sum() / (a + b)[either].sum()
        assert similarity(counts)[i, j].item() == pytest.approx(printed.item())


def test_mutual_information() -> None:
    assert mutual_information(torch.tensor([[5, 0], [0, 5]])) == pytest.approx(1.0), "the class says the expert"
    assert mutual_information(torch.tensor([[2, 4], [3, 6]])) == pytest.approx(0.0, abs=1e-12)
    assert mutual_information(torch.tensor([[4, 0], [6, 0]])) == 0.0
    # Three tokens: (class 0, expert 0), (0, 1), (1, 1). H(expert) - H(expert | class) = H(1/3) - 2/3 ln 2.
    expert = -(1 / 3) * math.log(1 / 3) - (2 / 3) * math.log(2 / 3)
    expected = (expert - 2 / 3 * math.log(2)) / expert
    assert mutual_information(torch.tensor([[1, 1], [0, 1]])) == pytest.approx(expected)
