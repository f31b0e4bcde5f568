"""Table 4's run at smoke scale."""

from pathlib import Path

import pytest

from repro.errors import SpecError
from repro.study.exhibits.table4_dynamic_routing import Table4Parameters, table4


def test_gains_exits_and_costs_of_one_seed(tmp_path: Path) -> None:
    asked = {"scale": "smoke", "pair": "tr10-tr10", "experts": 2, "root": str(tmp_path)}
    result = table4(Table4Parameters.check(**asked))
    (base,), (whole,) = result.values("top1", "backbone", 0), result.values("top1", "bagging", 2)
    assert result.values("gain", "bagging", 2) == [pytest.approx(whole - base, abs=1e-3)]
    (runs,) = result.values("runs_expert", "bagging tau=0.75", 2)
    (macs,) = result.values("macs_millions", "bagging tau=0.75", 2)
    alone, mixture = (cost.macs / 1e6 for cost in result.costs)
    assert 0 <= runs <= 100 and alone < macs <= mixture + 1e-4


def test_the_model_is_table_4s_unless_another_is_asked_for() -> None:
    (spec,) = Table4Parameters().specs()
    assert (spec.pair, spec.num_experts) == ("tr18-tr10", 10)
    (spec,) = Table4Parameters(scale="paper", dataset="imagenet").specs()
    assert (spec.pair, spec.num_experts, spec.pretrained) == ("resnet18-resnet18", 4, True)
    with pytest.raises(SpecError, match="write base-expert"):
        Table4Parameters.check(pair="tr18")
