"""What the printed costs settle: readings of the text, counted."""

import pytest

from repro.errors import ReproError
from repro.models.cost import model_cost
from repro.report.left_out import CUTS, SUMS, fact, parts, tables


def test_the_parts_of_a_network_are_all_of_it() -> None:
    for name in ("tr10", "tr34", "tr50"):
        whole = model_cost(name, None, 100, 32, 0)
        found = parts(name, "cifar100")
        assert sum(p.macs for p in found.values()) == whole.macs
        assert sum(p.params for p in found.values()) == whole.params_inference


def test_one_reading_of_where_an_expert_begins_gives_the_printed_costs() -> None:
    cut = tables()["cut"].frame
    assert list(cut.index) == list(CUTS)
    assert list(cut["MACs that match"]) == list(cut["trainable that match"]) == ["0 of 10", "10 of 10", "0 of 10"]
    assert cut.loc["stage 3, 4 and linear", "tr18-tr18 MACs, 1e9"] == "0.82 (0.82)"
    assert cut.loc["stage 4 and linear", "tr18-tr18 trainable, 1e7"] == "16.9 (21.1)"


def test_only_the_fitted_sum_gives_every_parameter_count() -> None:
    found = tables()["sum"].frame["match"]
    assert list(found.index) == list(SUMS)
    assert found["base + expert + gate, less one fc"] == "10 of 10"
    assert found["base + expert + gate (the plain sum)"] == "2 of 10"


def test_the_posters_baseline_is_two_whole_networks() -> None:
    shown = tables()["poster"]
    assert "30 of 30 markers" in shown.caption
    row = shown.frame.loc["CIFAR-100, tr10 and tr18"]
    assert (row["drawn at"], row["two whole networks"]) == ("808.9 M", "808.9 M")
    assert row["shared trunk"] == "522.0 M or 673.0 M"


def test_counts_for_the_prose() -> None:
    assert fact("table1").text == "48 of 48"
    assert fact("table1/nothing-fitted").text == "38 of 38"
    assert fact("table1/plain-sum").text == "2 of 10"
    assert fact("poster/price").text == "1.35 to 1.37 times"
    assert fact("sparse/vit-every-2").text == "30 to 32 %"
    with pytest.raises(ReproError, match="there is no count 'table9'"):
        fact("table9")


def test_every_choice_has_its_default_and_its_reason() -> None:
    shown = tables()["choices"].frame
    assert "gamma" in shown.index and all(shown["ours"]) and all(shown["why"])
