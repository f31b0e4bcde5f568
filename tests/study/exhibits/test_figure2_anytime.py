"""Figure 2's study, at the smallest scale, in this process."""

from pathlib import Path

import pytest

from repro.errors import SpecError
from repro.study.exhibits.figure2_anytime import Figure2Parameters, figure2
from repro.study.pairs import MEAN
from repro.study.results import StudyResult


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    root: Path = tmp_path_factory.mktemp("figure2")
    asked = {"pairs": "tr10-tr10,tr10-tr18", "experts": "3", "seeds": "0,1", "scale": "smoke", "root": root}
    found = figure2(Figure2Parameters.check(**asked))
    return found


def test_expected_and_counted_macs_agree(result: StudyResult) -> None:
    counted = result.tables["counted"]
    assert len(counted.rows) == 2 * (2 + 1) * 3  # seeds x (pairs and the baseline) x thresholds
    assert counted.column("expected") == counted.column("counted")


def test_curves_go_from_every_expert_to_the_base_alone(result: StudyResult) -> None:
    curve = result.tables["sweep"].where(pair="tr10-tr10", seed=1)
    cost = next(c for c in result.costs if c.row == "tr10-tr10" and c.num_experts == 3)
    alone = next(c for c in result.costs if c.row == "tr10")
    assert curve.column("macs") == sorted(curve.column("macs"), reverse=True)
    assert curve.column("macs")[0] == pytest.approx(cost.macs + 2 * (cost.macs - alone.macs), rel=0.01)
    assert curve.column("exits")[0] == 0 and curve.column("exits")[-1] == 100
    assert curve.column("top1")[-1] == pytest.approx(result.values("top1", "backbone", 0, "tr10")[1])


def test_everything_is_measured_and_averaged_over_pairs(result: StudyResult) -> None:
    for method in ("bagging", "anytime-small", "anytime-no-loss", "anytime-same-cost", "anytime-best"):
        one, two, both = (result.values("top1", method, 3, row) for row in ("tr10-tr10", "tr10-tr18", MEAN))
        assert both == pytest.approx([(a + b) / 2 for a, b in zip(one, two, strict=True)], abs=1e-3)
    assert len(result.values("top1", "bagging", 1, "tr10-tr10")) == 2
    assert len(result.values("top1", "two networks", 0, "tr10 + tr10")) == 2
    assert len(result.values("top1", "envelope", 3, "at tr10 + tr10")) == 2
    # At the base's own cost there is the base's answer, which a small gate must not push out of reach.
    assert result.values("top1", "envelope", 3, "at tr10") == result.values("top1", "backbone", 0, "tr10")
    assert (result.base, result.expert.split()[0]) == ("tr10 at width 0.125", "several")


def test_an_envelope_chosen_on_test_is_never_worse(result: StudyResult) -> None:
    envelope = result.tables["envelope"]
    gaps = [b - a for a, b in zip(envelope.column("top1"), envelope.column("top1_on_test"), strict=True)]
    assert sum(gaps) >= 0 and all(macs > 0 for macs in envelope.column("macs"))


@pytest.mark.parametrize("pairs", ["tr10", "tr10-", "tr10-tr99", "tr10-tr10,tr10-tr10"])
def test_pairs_that_make_no_sense(pairs: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        Figure2Parameters.check(pairs=pairs, root=tmp_path)
