"""Appendix A.1 on small circuits, exactly: the ranks in a record, and what is shown of it."""

from itertools import product
from math import comb
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from repro.exhibits.deepmoe_theory import CIRCUITS, DEEP, EXHIBIT, LEAST, ROUTINGS, Parameters, cell, run
from repro.exhibits.deepmoe_theory.circuits import PRIME, Routing, circuit_rank, equal_masks, rank
from repro.report.verdict import Verdict, by_seed
from tests.records import judged


def test_the_whole_exhibit(tmp_path: Path) -> None:
    """Dense and static m^(N/2) and n^(N/2): the exponent is 2^(L-1) with L = log2 N, not the printed 2^L."""
    result = run(Parameters.check(scale="smoke", seeds="0,1", root=tmp_path))
    assert (result.name, result.seeds) == ("deepmoe_theory-none-exact", [0, 1])
    assert by_seed(result, cell(DEEP, "dense")) == {0: 81, 1: 81}
    assert by_seed(result, cell(DEEP, "dynamic")) == {0: 256, 1: 256}
    main, masks = EXHIBIT.tables(result).values()
    for _, row in main.frame.iterrows():
        assert row["dense"] == row["m^(N/2)"] and row["static"] == row["n^(N/2)"]
        assert row["random"] == row["4 random routes"] == row["full"], "at random, too"
    assert masks.frame.iloc[0].tolist() == ["0.0278", "0.2500"]
    # With one active channel a pooled embedding counts how often the 4 odd patches have each feature: C(4 + 3, 3).
    least, deep = (by_seed(result, cell(circuit, "pooled"))[0] for circuit in (LEAST, DEEP))
    assert least <= comb(7, 3) < 3**4 < deep < 4**4
    verdicts = {key: one.verdict for key, one in judged(EXHIBIT, result).items()}
    assert verdicts["DT1"] is verdicts["DT2"] is Verdict.HOLDS
    assert verdicts["DT2/1"] is Verdict.HOLDS, "by an embedding that tells places apart"
    assert verdicts["DT3"] is verdicts["DT3/1"] is Verdict.OPPOSITE, "no more than at random"
    (axes,) = EXHIBIT.figures([result])["main"].axes
    assert len(axes.patches) == len(CIRCUITS) * len(ROUTINGS)


def test_rank_is_exact() -> None:
    assert rank(np.array([[1, 2, 3], [2, 4, 6], [0, 0, 5]])) == 2
    assert rank(np.zeros((3, 2), np.int64)) == 0
    assert rank(np.array([[PRIME - 1, 1], [1, PRIME - 1]])) == 1  # -1 and 1: too near for floats, not for us
    tall = np.arange(12).reshape(6, 2)
    assert rank(tall) == rank(tall.T) == np.linalg.matrix_rank(tall) == 2


def test_all_channels_active_is_dense_under_any_routing() -> None:
    assert {circuit_rank(4, 8, 4, 4, routing) for routing in get_args(Routing)} == {16}


def test_probability_of_equal_masks_by_counting() -> None:
    masks = [m for m in product((0, 1), repeat=4) if sum(m) == 2]
    pairs = [(a, b) for a in product(masks, repeat=2) for b in product(masks, repeat=2)]
    assert equal_masks(4, 2, 2) == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
