"""Intervals on cases worked by hand."""

import math

import pytest

from repro.report.numbers import interval
from repro.report.statistics import Summary, binomial_error, paired_difference, summarise, unpaired_difference, welch


def test_t_interval_of_three_values_and_none_of_one() -> None:
    summary = summarise([1.0, 2.0, 3.0])
    assert (summary.mean, summary.std, summary.n) == (2.0, 1.0, 3)
    # t(0.975, 2) = 4.30265, divided by the square root of 3
    assert summary.interval == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-4)
    assert summarise([7.0]).interval is None and summarise([7.0]).std is None
    for values in ([], [1.0, math.nan]):
        with pytest.raises(ValueError, match=r"no values|not all"):
            summarise(values)


def test_an_end_just_below_zero_keeps_its_sign() -> None:
    """Else an interval beside *undecided* would seem not to contain zero."""
    assert interval(Summary(0.06, 0.02, 3, (-0.0031, 0.119), (0.04, 0.06, 0.08)), sign=True) == "−0.00 to +0.12"
    assert interval(Summary(0.0, 0.0, 3, (-0.0, 0.0), (0.0,) * 3), sign=True) == "+0.00 to +0.00"


def test_welch_by_hand() -> None:
    difference = welch([1.0, 2.0, 3.0], 4.0, 2.0, 3)
    error = math.sqrt(1 / 3 + 4 / 3)
    assert difference.mean == -2 and difference.std == pytest.approx(error)
    # degrees of freedom: (5/3)² / ((1/3)² / 2 + (4/3)² / 2) = 2.941; t(0.975, 2.941) = 3.2187
    assert difference.interval == pytest.approx((-2 - 3.2187 * error, -2 + 3.2187 * error), abs=1e-2)
    for level, half in ((0.95, 2.48414), (0.9, 1.68585)):  # printed without spread it is exact; t(0.95, 2) = 2.91999
        assert welch([1.0, 2.0, 3.0], 2.0, None, 3, level).interval == pytest.approx((-half, half), abs=1e-4)


def test_the_error_of_a_test_set_by_hand() -> None:
    assert binomial_error(50.0, 10_000) == pytest.approx(0.5) and binomial_error(100.0, 10_000) == 0


def test_differences_are_taken_seed_by_seed_and_runs_apart_have_the_wider_of_both_intervals() -> None:
    """Three like differences of unlike runs: paired +0.72 +- 0.14, by Welch +- 1.09; and the other way round."""
    exact = paired_difference([10.0, 20.0, 30.0], [9.0, 19.0, 29.0])
    assert exact.mean == 1 and list(exact.interval or ()) == [1, 1]
    a, b = [64.1, 64.5, 64.9], [63.38, 63.78, 64.18]
    narrow, wide = paired_difference(a, b), unpaired_difference(a, b)
    assert narrow.std == pytest.approx(0, abs=1e-9) and wide.mean == pytest.approx(0.72)
    assert wide.interval == pytest.approx((0.72 - 0.9068, 0.72 + 0.9068), abs=1e-3)  # 2.7764 sqrt(2 * 0.4^2 / 3)
    crossed = unpaired_difference(a, b[::-1])
    assert crossed.interval == paired_difference(a, b[::-1]).interval
    assert unpaired_difference([1.0], [2.0]).interval is None
