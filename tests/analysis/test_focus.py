"""Spread, share in the box and the pointing game on maps worked by hand."""

import pytest
import torch

from repro.analysis.focus import box_share, empty, hits_box, in_box, selected_and_others, spread, stretched, wins
from repro.data.modes import make_modes

UNIFORM = torch.ones(2, 2)
POINT = torch.tensor([[0.0, 0.0], [3.0, 0.0]])  # bottom left
HALF = torch.tensor([[1.0, 0.0], [1.0, 0.0]])  # the left half
NOTHING = torch.zeros(2, 2)
MAPS = torch.stack([UNIFORM, POINT, HALF, NOTHING])


def test_spread_is_the_share_of_the_image_that_is_covered() -> None:
    torch.testing.assert_close(spread(MAPS), torch.tensor([100.0, 25.0, 50.0, 100.0]))
    assert empty(MAPS).tolist() == [False, False, False, True]


def test_shares_and_hits_of_a_box_by_hand() -> None:
    left = torch.tensor([[0.0, 0.0, 2.0, 4.0]]).expand(4, 4)  # of an image of 4 x 4 pixels
    shares = in_box(MAPS, left, 4)
    # A row of two positions enlarges to 4 pixels as (1, 3/4, 1/4, 0) of the first: 7/8 of its mass is on its side.
    torch.testing.assert_close(shares, torch.tensor([50.0, 87.5, 87.5, 50.0]))
    within_a_pixel = torch.tensor([[0.0, 0.0, 1.5, 2.0]])
    assert in_box(UNIFORM[None], within_a_pixel, 2).item() == pytest.approx(75.0)
    assert box_share(within_a_pixel, 2).item() == pytest.approx(75.0)
    below = torch.tensor([[0.0, 2.0, 4.0, 4.0]]).expand(4, 4)
    assert hits_box(MAPS, below, 4).tolist() == [0.0, 100.0, 0.0, 50.0], "the pointing game"
    stretched_map = stretched(torch.tensor([[1.0, 3.0], [2.0, 1.0]]))
    torch.testing.assert_close(stretched_map, torch.tensor([[0.0, 1.0], [0.5, 0.0]]))


def test_the_share_is_that_of_the_enlarged_picture() -> None:
    maps = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[3.0, 4.0, 20.0, 31.0]]).expand(5, 4)
    large = torch.nn.functional.interpolate(maps, 32, mode="bilinear", align_corners=False)
    share = 100 * large[..., 4:31, 3:20].sum((-2, -1)) / large.sum((-2, -1))
    torch.testing.assert_close(in_box(maps, boxes, 32), share)


def test_selected_and_others() -> None:
    values = torch.tensor([[1.0, 2.0, 6.0], [4.0, 5.0, 9.0]])
    own, others = selected_and_others(values, torch.tensor([2, 0]))
    assert own.tolist() == [6.0, 4.0] and others.tolist() == [1.5, 7.0]
    assert len(selected_and_others(values[:, :1], torch.tensor([0, 0]))[1]) == 0


def test_how_often_the_selected_one_wins() -> None:
    values = torch.tensor([[1.0, 2.0, 3.0], [4.0, 4.0, 9.0]])
    # Image 1 selects the best: it beats both. Image 2 selects a tie and a loss: half a win of two.
    assert wins(values, torch.tensor([2, 0])) == pytest.approx(100 * (2 + 0.5) / 4)
    assert wins(torch.ones(3, 4), torch.tensor([0, 1, 2])) == 50
    assert wins(values[:, :1], torch.tensor([0, 0])) is None


def test_glyphs_lie_in_their_boxes() -> None:
    """A glyph's tint drives the channels apart, in its box more than beside it."""
    images = make_modes("test", 300)
    assert images.boxes is not None and images.modes is not None
    assert (images.boxes[:, 2:] - images.boxes[:, :2] == 10).all()
    assert images.boxes.min() >= 0 and images.boxes.max() <= 32

    deviations = torch.from_numpy(images.images).float().std(1)
    shares = in_box(deviations, torch.from_numpy(images.boxes), 32)
    assert float(shares.mean()) > 1.05 * 100 * 10 * 10 / 32**2
