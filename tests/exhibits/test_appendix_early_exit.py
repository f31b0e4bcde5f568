"""The exit rules: hand-worked differences, and a run at smoke scale."""

from pathlib import Path

import pytest

from repro.errors import TimeIsUpError
from repro.exhibits.appendix_early_exit import EXHIBIT, LOOKS
from repro.families.single_gate.pairs import MEAN, PairParameters
from repro.families.single_gate.scales import SCALES
from repro.report.claim import Cell
from repro.study.remaining import Remaining
from repro.study.results import load_results
from repro.study.store import Store
from tests.exhibits.conftest import Smoke
from tests.records import RecordOf, judged


def test_every_rule_stands_against_the_papers(record_of: RecordOf) -> None:
    values = {
        Cell(20, rule, row, metric): 60.0 - 0.1 * i
        for i, rule in enumerate(LOOKS)
        for row in ("tr10-tr10", MEAN)
        for metric in ("area", "half")
    }
    result = record_of(EXHIBIT.name, values | {Cell(20, "bagging", MEAN): 60.0})
    main = EXHIBIT.tables(result)["main"].frame
    row = main.loc["tr10-tr10, 20 experts: learned: logistic regression"]
    assert (row["against the paper's rule"], row["95 % interval"]) == ("−0.50", "−0.50 to −0.50")
    assert len(main) == len(LOOKS)
    assert {str(judged(EXHIBIT, result)[key].verdict) for key in ("X1", "X2/boosting", "X3")} == {"holds"}


def test_exit_rules_lie_between_chance_and_the_oracle(smoke: Smoke) -> None:
    exits = smoke(EXHIBIT, experts="3", seeds="0,1")
    for rule in ("paper", "confidence", "entropy", "margin", "gate", "logistic", "boosting", "chance"):
        for metric in ("area", "half"):
            mine, best = (exits.values(metric, name, 3, "tr10-tr10") for name in (rule, "oracle"))
            assert len(mine) == 2 and all(a <= b + 1e-6 for a, b in zip(mine, best, strict=True))
    curve = exits.tables["curves"].where(rule="paper", seed=0)
    assert curve.column("macs") == sorted(curve.column("macs"), reverse=True)


def test_the_seeds_that_are_whole_are_recorded_when_the_time_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is with every exhibit that does not itself record what is whole."""
    tiny = {"width": 0.0625, "num_train": 200, "stacking": False}
    monkeypatch.setitem(SCALES, "smoke", {"modes": {**SCALES["smoke"]["modes"], **tiny}})
    parameters = PairParameters.check(scale="smoke", experts="3", seeds="0,1", root=tmp_path)
    first, store = parameters.model_copy(update={"seeds": (0,)}).goals(), Store(tmp_path)
    monkeypatch.setattr("repro.training.fit.late", lambda seconds=0.0: True)
    with pytest.raises(TimeIsUpError):
        EXHIBIT.run(parameters)
    assert load_results(tmp_path / "results") == {}, "of no seed there is no record"
    monkeypatch.setattr("repro.training.fit.late", lambda seconds=0.0: Remaining(first, store).whole)
    with pytest.raises(TimeIsUpError, match="not begun"):
        EXHIBIT.run(parameters)
    (result,) = load_results(tmp_path / "results").values()
    assert result.seeds == [0]
    assert result.provenance.command == "repro run appendix_early_exit -p scale smoke -p experts 3"
