"""Printed costs against counts, the eight that do not match, and claims by printed numbers."""

from pathlib import Path

import pytest

from repro.exhibits.sparse_costs import EXHIBIT, explained, matches, with_mixtures
from repro.exhibits.sparse_costs.readings import READINGS, Pair, dense_of, gain
from repro.families.sparse.cost import sparse_cost
from repro.report.printed import SweetSpotRow, sweetspot_rows
from repro.study.results import load_results
from tests.exhibits.test_every_exhibit import show
from tests.families.sparse.test_sparse_model import cost

RESULTS = Path(__file__).parents[2] / "results"


def rows(table: str, network: str, placement: str | None = None) -> list[SweetSpotRow]:
    of_network = [row for row in sweetspot_rows() if (row.table, row.config.network) == (table, network)]
    return [row for row in of_network if placement in (None, row.config.placement)]


def test_31_of_39_numbers_of_parameters_are_exact_and_seven_of_the_others_are_explained() -> None:
    known = sweetspot_rows()
    others = [explained(row) for row in known if not matches(row)]
    assert (len(known), len(others)) == (39, 8)
    assert [text for text in others if "not explained" in text] == [
        "nearest to the row's own 97.3 M; the +0.2 M are not explained"
    ]
    for table in ("3", "5"):
        (row,) = rows(table, "convnext-t", "every-2")
        counted = round(sparse_cost(row.config).params / 1e6, 1)
        assert with_mixtures(row.config, (1, 1, 4, 1)) == counted, "those of the network"


def test_printed_multiply_adds_are_not_those_of_vits_every_2_and_of_the_isotropic_s() -> None:
    """Printed: 1.5 times the dense cost. Counted: 1.3 times, still far from equal."""
    for name, dense_macs, macs, active in (("vit-s", 4.6, 6.0, 29.2), ("vit-b", 17.6, 23.1, 114.9)):
        dense, sparse = cost(name, placement="none"), cost(name, placement="every-2", top_k=2)
        assert round(dense.macs / 1e9, 1) == dense_macs
        assert round(sparse.macs / 1e9, 1) == macs and round(sparse.active_params / 1e6, 1) == active
        (row,) = rows("2", name, "every-2")
        of_dense = dense_of(row)
        assert row.macs and of_dense.macs and row.macs / of_dense.macs == pytest.approx(1.5, abs=0.01)
        assert not gain(row, of_dense).equal
    assert {row.macs for row in rows("3", "convnext-s-iso")} == {8.7}, "what a convnext-s costs"
    of_s, of_iso = (cost(name, placement="none").macs / 1e9 for name in ("convnext-s", "convnext-s-iso"))
    assert (round(of_s, 1), round(of_iso, 2)) == (8.7, 4.29)


def test_tables_stand_beside_print_and_what_is_recorded_is_what_the_code_counts(tmp_path: Path) -> None:
    (result,) = EXHIBIT.run(EXHIBIT.parameters.check(root=tmp_path))
    (recorded,) = load_results(RESULTS, "sparse_costs").values()
    assert (recorded.tables, recorded.costs) == (result.tables, result.costs), "run `repro run sparse_costs` again"
    tables = EXHIBIT.tables(result)
    assert len(tables["main"].frame) == 21 and len(tables["others"].frame) == 18 and len(tables["eight"].frame) == 8
    row = tables["main"].frame.loc["Table 2: vit-s every-2 8", ["printed", "counted", "MACs / dense", "GMACs, printed"]]
    assert list(row) == ["71.7", "71.7", "1.3", "6.9"]
    assert list(tables["probes"].frame.loc["convnext-s last-2"]) == ["83.6", "45.3", "not run"]
    claims = tables["claims"].frame
    assert list(claims.loc["V1/convnext", ["holds", "holds at equal MACs"]]) == ["in 6 of 10", "in 5 of 6"]
    assert claims.loc["V3/vit", "printed differences"] == "+0.2" and claims.loc["V1/vit", "holds at equal MACs"] == "–"
    assert READINGS["V2"].holds([Pair("a", 0.0), Pair("b", 0.1)]) == "in 1 of 2", "no difference is no gain"
    show("sparse_costs")
