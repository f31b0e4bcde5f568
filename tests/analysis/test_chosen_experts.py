"""Inspections of chosen experts, on two images of four tokens that are counted by hand."""

import math

import pytest
import torch

from repro.analysis.chosen_experts import (
    expert_maps,
    experts_per_image,
    mutual_information,
    occurrence,
    patch_distribution,
    similarity,
    tokens_per_image,
)

EXPERTS = torch.tensor([[0, 0, 0, 1], [1, 1, 2, 2]])[..., None]
COUNTS = torch.tensor([[3, 1, 0], [0, 2, 2]])


def test_tokens_are_counted() -> None:
    assert torch.equal(tokens_per_image(EXPERTS, 3), COUNTS)
    two_choices = torch.cat([EXPERTS, (EXPERTS + 1) % 3], 2)
    assert tokens_per_image(two_choices, 3).tolist() == [[3, 4, 1], [2, 2, 4]]


def test_class_by_expert() -> None:
    counts = torch.cat([COUNTS, COUNTS[:1]])
    assert occurrence(counts, torch.tensor([1, 0, 1]), 3).tolist() == [[0, 2, 2], [6, 2, 0], [0, 0, 0]]


def test_similarity_is_the_printed_formula() -> None:
    """With its two sums over the images that have both experts, and either."""
    counts = torch.randint(0, 4, (50, 5), generator=torch.Generator().manual_seed(0))
    for i in range(5):
        for j in range(5):
            a, b = counts[:, i].double(), counts[:, j].double()
            both, either = (a > 0) & (b > 0), (a > 0) | (b > 0)
            printed = (a + b - (a - b).abs())[both].sum() / (a + b)[either].sum()
            assert similarity(counts)[i, j].item() == pytest.approx(printed.item())


def test_experts_per_image() -> None:
    assert experts_per_image(COUNTS) == 2.0
    assert experts_per_image(torch.tensor([[4, 0, 0], [2, 1, 1]])) == 2.0
    assert experts_per_image(torch.tensor([[4, 0, 0]])) == 1.0


def test_patch_distribution_counts_images_that_have_the_expert() -> None:
    assert patch_distribution(COUNTS, 4).tolist() == [[0, 0, 1, 1], [0.5, 1, 1, 1], [0, 1, 1, 1]]


def test_mutual_information() -> None:
    assert mutual_information(torch.tensor([[5, 0], [0, 5]])) == pytest.approx(1.0), "the class says the expert"
    assert mutual_information(torch.tensor([[2, 4], [3, 6]])) == pytest.approx(0.0, abs=1e-12)
    assert mutual_information(torch.tensor([[4, 0], [6, 0]])) == 0.0
    # Three tokens: (class 0, expert 0), (0, 1), (1, 1). H(expert) - H(expert | class) = H(1/3) - 2/3 ln 2.
    expert = -(1 / 3) * math.log(1 / 3) - (2 / 3) * math.log(2 / 3)
    expected = (expert - 2 / 3 * math.log(2)) / expert
    assert mutual_information(torch.tensor([[1, 1], [0, 1]])) == pytest.approx(expected)


def test_maps_have_the_first_choice_in_reading_order() -> None:
    maps = expert_maps(torch.cat([EXPERTS, 9 + 0 * EXPERTS], 2), 4)
    assert maps[0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
