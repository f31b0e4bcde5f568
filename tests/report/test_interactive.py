"""What the book's slider and explorer are given is what was recorded."""

from collections.abc import Callable

from repro.report.claim import Cell
from repro.report.interactive import anytime, routing
from repro.study.results import Cost, StudyResult, Table

SWEEP = Table(
    columns=["pair", "K", "seed", "tau", "macs", "top1", "exits", "experts_of_others"],
    rows=[
        ["tr10-tr10", 20, 0, 0.0, 9_000_000, 60.0, 0.0, 20.0],
        ["tr10-tr10", 20, 0, 1.0, 1_000_000, 58.0, 100.0, 0.0],
        ["tr10-tr10", 20, 1, 0.0, 9_000_000, 61.0, 0.0, 20.0],
        ["tr10-tr10", 20, 1, 1.0, 1_000_000, 59.0, 100.0, 0.0],
    ],
)


def test_the_slider_has_the_mean_of_the_seeds_at_every_threshold(record_of: Callable[..., StudyResult]) -> None:
    values = {Cell(0, "backbone", "tr10"): [58.0, 59.0], Cell(20, "bagging", "tr10-tr10"): [60.0, 61.0]}
    costs = [Cost(num_experts=0, row="tr10", macs=900_000, params_inference=1, params_trainable=1)]
    (curve,) = anytime([record_of("figure2_anytime", values, costs=costs, tables={"sweep": SWEEP})])
    assert curve["points"] == [[0.0, 9_000_000, 60.5, 0.0, 20.0], [1.0, 1_000_000, 58.5, 100.0, None]]
    assert curve["marks"] == [{"name": "base alone", "macs": 900_000, "top1": 58.5}]  # the other has no cost
    assert (curve["name"], curve["seeds"]) == ("CIFAR-100, laptop scale: tr10-tr10, 20 experts", 2)


def test_the_explorer_has_the_counts_of_the_record(record_of: Callable[..., StudyResult]) -> None:
    counts = Table(columns=["class", "expert 1", "expert 2"], rows=[["n02056570 king penguin", 3, 1], ["apple", 0, 4]])
    experts = Table(columns=["class"], rows=[["apple"]])
    tables = {"counts": counts, "experts": experts}
    with_counts, without = (record_of("figure3_king_penguin", {Cell(20): [1.0]}, tables=some) for some in (tables, {}))
    (dealt,) = routing([with_counts, without])
    assert dealt["classes"] == ["king penguin", "apple"]
    assert dealt["counts"] == [[3, 1], [0, 4]]
    assert dealt["start"] == "apple"
