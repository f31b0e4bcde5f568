"""Calibration worked by hand."""

import pytest
import torch

from repro.analysis.calibration import fit_of, reliability

PROBABILITIES = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]], dtype=torch.float64)


def test_two_bins_by_hand() -> None:
    # All four confidences (0.9, 0.8, 0.7, 0.6) lie above 1/2: one bin; three of four answers are right.
    found = reliability(PROBABILITIES, torch.tensor([0, 0, 1, 0]), bins=2)
    assert found.count.tolist() == [0, 4]
    assert found.confidence[1] == pytest.approx(0.75) and found.accuracy[1] == pytest.approx(0.75)
    assert found.ece == pytest.approx(0) and found.overconfidence == pytest.approx(0)


def test_bins_of_opposite_faults_do_not_cancel_in_the_ece() -> None:
    # Four bins of 0.25: {0.7, 0.6} in the third, {0.9, 0.8} in the fourth.
    found = reliability(PROBABILITIES, torch.tensor([1, 1, 1, 1]), bins=4)  # sure and wrong, unsure and right
    assert found.count.tolist() == [0, 0, 2, 2]
    assert found.ece == pytest.approx(100 * (0.5 * 0.35 + 0.5 * 0.85))
    assert found.overconfidence == pytest.approx(100 * (0.75 - 0.5))


def test_bins_are_closed_above() -> None:
    found = reliability(torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([0, 0]), bins=2)
    assert found.count.tolist() == [1, 1]


def test_the_ece_does_not_depend_on_bins_when_every_image_is_a_bin_of_its_own() -> None:
    one = reliability(torch.tensor([[0.8, 0.2]]), torch.tensor([0]))
    assert one.ece == pytest.approx(20) and one.overconfidence == pytest.approx(-20)
    assert one.count.sum() == 1 and len(one.count) == 15


def test_how_closely_images_are_fitted() -> None:
    losses = -torch.tensor([0.95, 0.5]).log()
    mean, sure = fit_of(losses)
    assert mean == pytest.approx(float(losses.mean())) and sure == 50
