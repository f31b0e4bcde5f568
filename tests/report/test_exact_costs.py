"""Printed digits against exact counts."""

import pytest

from repro.report.exact_costs import in_unit_of
from repro.report.printed import PrintedValue, printed


def of(digits: str) -> PrintedValue:
    return PrintedValue(float(digits), None, digits=digits)


@pytest.mark.parametrize(
    ("digits", "exact", "matches"),
    [
        ("0.56e9", 555_470_000, True),
        ("0.56e9", 565_100_000, False),
        ("1.30e9", 1_298_010_000, True),
        ("1.30e9", 1_310_000_000, False),  # the zero is printed, so it counts
        ("21.1e7", 210_890_000, True),
        ("21.1e7", 211_600_000, False),
        ("1.82e9", 1_814_100_000, False),
        ("72.17", 72.171, True),
    ],
)
def test_a_count_matches_what_it_rounds_to(digits: str, exact: float, matches: bool) -> None:
    assert of(digits).matches(exact) == matches


def test_units_are_those_of_the_printed_number() -> None:
    assert of("21.1e7").half_unit == pytest.approx(0.05e7)
    assert in_unit_of(of("0.56e9"), 555_470_000) == "0.5555" and in_unit_of(of("21.1e7"), 210_890_000, 0) == "21.1"
    value = printed(1, "cifar100", "tr18", None, 0, "backbone", "macs")
    assert value and value.digits == "0.56e9"
