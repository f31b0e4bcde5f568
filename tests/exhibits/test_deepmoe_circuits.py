"""Appendix A.1 on small circuits, exactly."""

from itertools import product
from math import comb
from typing import get_args

import numpy as np
import pytest

from repro.exhibits.deepmoe_theory.circuits import PRIME, Routing, circuit_rank, equal_masks, rank

CIRCUITS = [(4, 8, 4, 2), (8, 4, 3, 2), (8, 4, 3, 1)]  # N, M, m, n


def test_rank_is_exact() -> None:
    assert rank(np.array([[1, 2, 3], [2, 4, 6], [0, 0, 5]])) == 2
    assert rank(np.zeros((3, 2), np.int64)) == 0
    assert rank(np.array([[PRIME - 1, 1], [1, PRIME - 1]])) == 1  # -1 and 1: too near for floats, not for us
    tall = np.arange(12).reshape(6, 2)
    assert rank(tall) == rank(tall.T) == np.linalg.matrix_rank(tall) == 2


@pytest.mark.parametrize(("patches", "features", "channels", "active"), CIRCUITS)
@pytest.mark.parametrize("seed", [0, 1])
def test_dense_and_static_ranks(patches: int, features: int, channels: int, active: int, seed: int) -> None:
    """m^(N/2) and n^(N/2): the exponent is 2^(L-1) with L = log2 N, not the printed 2^L."""
    assert circuit_rank(patches, features, channels, active, "dense", seed) == channels ** (patches // 2)
    assert circuit_rank(patches, features, channels, active, "static", seed) == active ** (patches // 2)


@pytest.mark.parametrize(("patches", "features", "channels", "active"), CIRCUITS)
def test_random_routing_has_full_rank_too(patches: int, features: int, channels: int, active: int) -> None:
    """So the bound holds, and does not tell a learned gate from a drawn one."""
    full = features ** (patches // 2)
    for routing in ("dynamic", "routes"):
        assert circuit_rank(patches, features, channels, active, routing) == full
    assert circuit_rank(patches, features, channels, active, "embedding") > active ** (patches // 2)


def test_all_channels_active_is_dense_under_any_routing() -> None:
    assert {circuit_rank(4, 8, 4, 4, routing) for routing in get_args(Routing)} == {16}


def test_an_embedding_that_weighs_places_alike_may_have_less_than_the_dense_circuit() -> None:
    """With one active channel, by how often the 4 odd patches have each of 4 features: C(4 + 3, 3) = 35 counts."""
    assert circuit_rank(8, 4, 3, 1, "pooled") <= comb(7, 3) < 3**4 < circuit_rank(8, 4, 3, 2, "pooled") < 4**4


def test_probability_of_equal_masks_by_counting() -> None:
    masks = [m for m in product((0, 1), repeat=4) if sum(m) == 2]
    pairs = [(a, b) for a in product(masks, repeat=2) for b in product(masks, repeat=2)]
    assert equal_masks(4, 2, 2) == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
    assert equal_masks(4, 2, 2) != pytest.approx((4 / 2) ** -2), "what the appendix prints"
