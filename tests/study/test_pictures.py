"""Small pictures go into a record as text and come out again."""

import numpy as np

from repro.study.results import Picture


def test_tiles_come_back_in_order() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (7, 3, 1, 1), dtype=np.uint8)
    images = np.broadcast_to(colours, (7, 3, 32, 32)).copy()
    picture = Picture.of(images, columns=3)
    tiles = Picture.model_validate_json(picture.model_dump_json()).tiles()
    assert tiles.shape == (7, 32, 32, 3)
    assert np.abs(tiles.astype(int) - images.transpose(0, 2, 3, 1)).max() <= 3  # JPEG
    assert "/" not in picture.jpeg and "+" not in picture.jpeg


def test_large_images_are_made_smaller() -> None:
    images = np.zeros((2, 3, 96, 96), np.uint8)
    images[:, 0] = 200
    assert Picture.of(images, largest=48).tiles().shape == (2, 48, 48, 3)
