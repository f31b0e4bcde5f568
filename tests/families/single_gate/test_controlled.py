"""Controls that exhibits train beside their mixtures: which, and where the record holds them."""

from pathlib import Path

import pytest

from repro.errors import SpecError
from repro.exhibits.figure2_anytime import Parameters as Figure2
from repro.exhibits.table4_dynamic_routing import EXHIBIT, Parameters, run
from repro.families.single_gate.controls import EQUAL_INFERENCE, EQUAL_TRAINING


def test_a_mixture_is_held_against_what_gets_as_much_and_says_so(smoke_root: Path) -> None:
    asked = {"scale": "smoke", "pair": "tr10-tr10", "experts": 10, "root": smoke_root}
    assert not Parameters.check(**asked).bases(), "a demonstration has none unless it is asked for"
    result = run(Parameters.check(**asked, controls="all"))
    (trained,), (plain,) = result.values("top1", EQUAL_TRAINING, 10), result.values("top1", EQUAL_INFERENCE, 1)
    (ours,) = result.values("top1", "bagging", 10)
    judged = {j.claim.key: j for j in EXHIBIT.judge(result)}
    assert judged["R1"].controlled
    for key, control in ((EQUAL_TRAINING, trained), (EQUAL_INFERENCE, plain)):
        against = judged[f"R1/{key}"].ours
        assert against and against.mean == pytest.approx(ours - control, abs=1e-3)
    shown = EXHIBIT.tables(result)["main"].frame
    assert shown.loc["control: the base, trained as long", "ours"] == f"{trained:.2f}"


def test_where_evidence_is_asked_for_controls_are_trained_without_a_word() -> None:
    parameters = Figure2.check(scale="laptop", dataset="cifar100", pairs="tr10-tr10,tr10-tr18", seeds="0,1")
    controls = parameters.bases()
    assert {spec.role for spec in controls} == {"control"} and len(controls) == 2 * 2 * 2, "seeds, pairs, kinds"
    assert not parameters.model_copy(update={"controls": "none"}).bases()
    trained, plain = EQUAL_TRAINING, EQUAL_INFERENCE
    several = Figure2.check(scale="laptop", dataset="cifar100", experts="10,20")
    ten, twenty = map(several.controls_of, several.specs()[:2])
    assert ten[plain] == twenty[plain] and ten[trained] != twenty[trained], "one cost, whatever the number of experts"


def test_a_base_that_comes_trained_has_none() -> None:
    assert not Parameters(scale="paper", dataset="imagenet").bases()
    assert len(Parameters(scale="paper", dataset="imagenet", pretrained=False).bases()) == 1, (
        "it has no width to change"
    )
    with pytest.raises(SpecError, match="controls"):
        Parameters.check(controls="some")
