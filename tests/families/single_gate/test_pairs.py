"""Means over base-expert pairs."""

from repro.families.single_gate.pairs import MEAN, means_over_pairs
from repro.study.results import Measurement


def measurement(row: str, value: float, num_experts: int = 20, method: str = "bagging") -> Measurement:
    return Measurement(seed=0, num_experts=num_experts, method=method, metric="top1", value=value, row=row)


def test_a_base_counts_as_often_as_it_is_in_a_pair_and_a_number_that_a_pair_lacks_has_no_mean() -> None:
    found = means_over_pairs(
        [
            measurement("tr10-tr10", 60.0),
            measurement("at tr10-tr18", 61.0),
            measurement("tr18-tr18", 65.0),
            measurement("tr10", 50.0, 0, "backbone"),
            measurement("tr18", 56.0, 0, "backbone"),
            measurement("tr10-tr10", 1.0, method="only one pair has it"),
        ],
        ["tr10-tr10", "tr10-tr18", "tr18-tr18"],
    )
    assert list(found) == [measurement(MEAN, 62.0), measurement(MEAN, 52.0, 0, "backbone")]
