"""Table 5's run at smoke scale: every routing trained, the oracle, the modes, and the record."""

import pytest

from repro.errors import SpecError
from repro.study.exhibits.table5_per_class import NAME, Table5Parameters, table5
from repro.study.results import StudyResult, load_result


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    root = tmp_path_factory.mktemp("table5")
    made = table5(Table5Parameters.check(scale="smoke", experts=3, root=root, device="cpu"))
    assert load_result(root / "results" / f"{NAME}-modes-smoke.json") == made
    return made


def test_every_routing_has_its_rows(result: StudyResult) -> None:
    for row in ("per-sample", "per-class", "confusion", "per-class-oracle", "confusion-oracle"):
        for method in ("expert", "bagging"):
            assert len(result.values("top1", method, 3, row)) == 1, (row, method)
    assert len(result.values("top1", "backbone", 0)) == 1
    assert "routing" not in result.spec and result.provenance.command.endswith("-p scale smoke -p experts 3")


@pytest.mark.parametrize("level", ["per-class", "confusion"])
def test_right_and_wrong_make_up_the_whole(result: StudyResult, level: str) -> None:
    (share,) = result.values("routing", "gate", 3, level)
    for method in ("expert", "bagging"):
        (whole,), (right,), (wrong,) = (
            result.values(metric, method, 3, level) for metric in ("top1", "top1-right", "top1-wrong")
        )
        assert (share * right + (100 - share) * wrong) / 100 == pytest.approx(whole, abs=0.01)
        assert result.values("top1-right", method, 3, f"{level}-oracle") == [right]


def test_by_class_nothing_is_found_within_a_class(result: StudyResult) -> None:
    assert result.values("ami-within", "gate", 3, "per-class-oracle") == [0.0]
    assert result.values("ami-within", "gate", 3, "per-sample") > result.values("ami-within", "chance", 3, "per-sample")


@pytest.mark.parametrize("experts", [1, "many"])
def test_a_number_that_makes_no_sense_is_said(experts: object) -> None:
    with pytest.raises(SpecError, match="experts: "):
        Table5Parameters.check(scale="smoke", experts=experts)
