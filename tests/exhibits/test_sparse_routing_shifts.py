"""Our shifts: what each does to images, the stronger the more, and the same every time."""

import numpy as np
import pytest

from repro.data.dataset import ImageDataset
from repro.errors import SpecError
from repro.exhibits.sparse_routing.shifts import KINDS, STRENGTHS, shifted

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32), dtype=np.uint8)
DATA = ImageDataset("any", "test", IMAGES, np.zeros(20, np.int64), ("a",), (0.5,) * 3, (0.2,) * 3)


@pytest.mark.parametrize("kind", KINDS)
def test_stronger_is_further_away_and_always_the_same(kind: str) -> None:
    each = [shifted(DATA, kind, strength) for strength in STRENGTHS]
    away = [float(np.abs(one.images.astype(int) - IMAGES).mean()) for one in each]
    assert away == sorted(away) and 0 < away[0] < away[1]
    again = shifted(DATA, kind, 3)
    assert np.array_equal(again.images, each[2].images) and again.images.dtype == np.uint8
    assert again.labels is DATA.labels and len(np.unique(each[4].images)) > 1


def test_each_does_what_it_is_called() -> None:
    black = ImageDataset("any", "test", np.zeros_like(IMAGES), DATA.labels, ("a",), DATA.mean, DATA.std)
    occluded = shifted(black, "occlusion", 2).images
    assert (occluded == 128).sum((1, 2, 3)).tolist() == [3 * 8 * 8] * 20
    assert shifted(DATA, "contrast", 3).images.std() == pytest.approx(IMAGES.std() / 2, rel=0.02)
    grey = ImageDataset("any", "test", np.full_like(IMAGES, 128), DATA.labels, ("a",), DATA.mean, DATA.std)
    assert shifted(grey, "noise", 2).images.std() == pytest.approx(20, rel=0.02)
    assert np.array_equal(shifted(grey, "blur", 5).images, grey.images)


@pytest.mark.parametrize(("kind", "strength"), [("fog", 1), ("noise", 6)])
def test_another_ends_in_a_sentence(kind: str, strength: int) -> None:
    with pytest.raises(SpecError, match="choose of noise, blur, contrast, occlusion, and 1 to 5"):
        shifted(DATA, kind, strength)
