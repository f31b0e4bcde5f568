"""What the printed costs settle: readings of the text, counted."""

import pytest

from repro.errors import ReproError
from repro.models.cost import model_cost
from repro.report.left_out import CUTS, SUMS, fact, parts, tables


def test_the_parts_of_a_network_are_all_of_it() -> None:
    for name in ("tr10", "tr34", "tr50"):
        whole = model_cost(name, None, 100, 32, 0)
        costs = parts(name, "cifar100")
        assert sum(p.macs for p in costs.values()) == whole.macs
        assert sum(p.params for p in costs.values()) == whole.params_inference


def test_counts_for_the_prose() -> None:
    facts = {
        "table1": "48 of 48", "table1/nothing-fitted": "38 of 38", "table1/plain-sum": "2 of 10",
        "poster/price": "1.35 to 1.37 times", "sparse/vit-every-2": "30 to 32 %",
    }  # fmt: skip
    assert {name: fact(name).text for name in facts} == facts
    with pytest.raises(ReproError, match="there is no count 'table9'"):
        fact("table9")


def test_one_reading_of_each_gives_what_is_printed() -> None:
    """Where an expert begins; which sum counts parameters; two whole networks as the poster's baseline."""
    readings = tables()
    cut, sums, poster = readings["cut"].frame, readings["sum"].frame["match"], readings["poster"]
    assert list(cut.index) == list(CUTS) and list(sums.index) == list(SUMS)
    assert list(cut["MACs that match"]) == list(cut["trainable that match"]) == ["0 of 10", "10 of 10", "0 of 10"]
    assert cut.loc["stage 3, 4 and linear", "tr18-tr18 MACs, 1e9"] == "0.82 (0.82)"
    assert cut.loc["stage 4 and linear", "tr18-tr18 trainable, 1e7"] == "16.9 (21.1)"
    assert sums["base + expert + gate, less one fc"] == "10 of 10"
    assert sums["base + expert + gate (the plain sum)"] == "2 of 10"
    row = poster.frame.loc["CIFAR-100, tr10 and tr18", ["drawn at", "two whole networks", "shared trunk"]]
    assert "30 of 30 markers" in poster.caption and list(row) == ["808.9 M", "808.9 M", "522.0 M or 673.0 M"]
    choices = readings["choices"].frame
    assert "gamma" in choices.index and all(choices["ours"]) and all(choices["why"])
