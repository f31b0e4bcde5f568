"""Table 1's run at smoke scale, and what may be asked of it."""

from pathlib import Path

import pytest

from repro.errors import SpecError
from repro.study.exhibits.table1_main import BACKBONES, PAIRS, Table1Parameters, table1

SMALL = {"scale": "smoke", "pairs": "tr10-tr10", "experts": "2"}


def test_a_second_run_adds_rows_to_what_the_first_has_trained(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = {**SMALL, "root": str(tmp_path)}
    first = table1(Table1Parameters.check(**asked, backbones="none"))
    assert first.rows() == ["tr10-tr10", "tr10"] and first.numbers_of_experts() == [2]
    assert "artifacts were made and 0 found" in capfd.readouterr().err

    more = Table1Parameters.check(**asked, backbones="tr10,tr18", seeds="0,1", fewer_seeds="tr10-tr10:1,tr10:1,tr18:1")
    second = table1(more)
    # tr18 is trained and run alone; the pair, and tr10 within it, are found.
    assert "2 artifacts were made and 5 found" in capfd.readouterr().err
    assert set(first.measurements) < set(second.measurements)
    assert {(m.row, m.seed) for m in second.measurements} == {("tr10-tr10", 0), ("tr10", 0), ("tr18", 0)}
    assert {(c.row, c.num_experts) for c in second.costs} == {("tr10-tr10", 2), ("tr10", 0), ("tr18", 0)}
    assert second.base == second.expert == "several" and "base" not in second.spec


def test_the_scale_decides_which_rows_there_are_unless_they_are_named() -> None:
    assert Table1Parameters(scale="laptop", dataset="cifar100").rows() == (PAIRS, BACKBONES)
    assert Table1Parameters().rows() == (("tr10-tr10", "tr18-tr10"), ("tr10", "tr18"))
    laptop = Table1Parameters(scale="laptop", dataset="cifar100", seeds=(0, 1, 2), fewer_seeds="tr34-tr10:1,tr50:2")
    assert len(laptop.specs()) == 3 * 4 + 1 and len(laptop.bases()) == 3 * 3 + 2


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"pairs": "tr10"}, "write base-expert"),
        ({"pairs": "tr50-tr10"}, "do not join"),
        ({"backbones": "tr99"}, "unknown backbone 'tr99'"),
        ({"fewer_seeds": "tr50:1"}, "tr50 is no row of this run"),
        ({"fewer_seeds": "tr18"}, "write row:count"),
        ({"pairs": "none", "backbones": "none"}, "nothing is left to run"),
    ],
)
def test_what_cannot_be_run_is_said_before_any_work(wrong: dict[str, str], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        Table1Parameters.check(scale="smoke", **wrong)
