"""Table 3: early exit by hand, costs and implied shares without any run, the paper beside ours, stand-ins as such."""

from pathlib import Path

import pytest
import torch

from repro.analysis.outputs import Outputs
from repro.errors import SpecError
from repro.exhibits import table5_per_class
from repro.exhibits.table3_imagenet import EXHIBIT, NETWORKS, Parameters, at_confidence, implied_shares, run
from repro.models.cost import ModelCost
from repro.models.registry import build_backbone
from repro.report.claim import Cell
from repro.report.verdict import Verdict
from tests.conftest import write_pictures
from tests.records import RecordOf, judged

COST = ModelCost(
    num_experts=2, trunk_macs=60, head_macs=40, expert_macs=50, gate_macs=2,
    base_params=0, expert_params=0, gate_params=0, fc_params=0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("tau", "top1", "runs", "macs"),
    [
        (0.0, 100 / 3, 0, 102),  # all exit: base and gate
        (0.7, 200 / 3, 100 / 3, 102 + 50 / 3),
        (0.8, 100, 200 / 3, 102 + 100 / 3),
        (1.0, 200 / 3, 100, 152),  # nobody exits, and image 0 is spoilt by its expert
    ],
)
def test_accuracy_share_and_cost_of_an_exit_at_the_bases_confidence(
    tau: float, top1: float, runs: float, macs: float
) -> None:
    """Base right on image 0 alone; the selected experts right on images 1 and 2, and wrong on image 0."""
    base, gate = (
        torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.75, 0.25]]),
        torch.tensor([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4]]),
    )
    experts = torch.tensor([[[0.05, 0.95], [0.5, 0.5]], [[0.5, 0.5], [0.1, 0.9]], [[0.2, 0.8], [0.5, 0.5]]])
    outputs = Outputs(base.double().log(), gate.double(), experts.double().log(), torch.tensor([0, 1, 1]))
    values = at_confidence(outputs, COST, tau)
    assert values == pytest.approx({"top1": top1, "runs_expert": runs, "macs_millions": macs / 1e6})
    undecided = Outputs(torch.zeros(1, 2), torch.ones(1, 1), torch.zeros(1, 1, 2), torch.tensor([0]))
    assert at_confidence(undecided, COST, 0.5)["runs_expert"] == 0, "reaching the threshold is enough"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three classes of ten training and four validation images each."""
    return write_pictures(tmp_path / "imagenet", {"train": 10, "val": 4}, (80, 72)).parent


def test_it_runs_end_to_end_on_a_folder_in_imagenets_layout(root: Path) -> None:
    row = "mobilenet_v3_small"
    result = run(Parameters.check(scale="smoke", dataset="imagenet", networks=row, experts="2", root=str(root)))
    assert (result.base, result.rows(), result.numbers_of_experts()) == (row, [row], [2])
    for tau in ("0.75", "0.5"):
        (runs,) = result.values("runs_expert", f"bagging tau={tau}", 2, row)
        (macs,) = result.values("macs_millions", f"bagging tau={tau}", 2, row)
        base, moe = (cost.macs / 1e6 for cost in result.costs if cost.num_experts in (0, 2))
        assert 0 <= runs <= 100 and base < macs <= moe + 1e-4
    assert len(result.values("top1", "backbone", 0, row)) == 1
    of_table_5 = {"scale": "smoke", "dataset": "imagenet", "experts": "2", "root": str(root)}
    streamed = table5_per_class.run(table5_per_class.Parameters.check(**of_table_5))
    assert len(streamed.values("routing", "gate", 2, "per-class")) == 1 and not streamed.values("ami", "gate", 2)


def test_weights_that_cannot_be_fetched_or_are_of_other_classes_are_said(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*arguments: object, **more: object) -> None:
        raise OSError("no network")

    monkeypatch.setenv("TORCH_HOME", str(root))
    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(SpecError, match=r"weights of resnet18 could not be downloaded \(no network\); put http.*"):
        build_backbone("resnet18", 1000, pretrained=True)
    asked = {"scale": "paper", "dataset": "imagenet", "networks": "resnet18", "experts": "1", "root": str(root)}
    with pytest.raises(SpecError, match=r"has 3 classes, torchvision's weights have 1000.*set pretrained to false"):
        run(Parameters.check(**asked))
    of_table_5 = {"scale": "paper", "dataset": "imagenet", "root": str(root)}
    with pytest.raises(SpecError, match="has 3 classes, torchvision's weights have 1000"):
        table5_per_class.run(table5_per_class.Parameters.check(**of_table_5))
    assert not any(spec.pretrained for spec in Parameters.check(**asked, pretrained=False).specs())


def test_networks_are_table_3s_on_imagenet_and_the_scales_own_elsewhere() -> None:
    on_imagenet = Parameters.check(scale="paper", dataset="imagenet", experts="4").specs()
    assert [spec.base for spec in on_imagenet] == list(NETWORKS) and all(spec.pretrained for spec in on_imagenet)
    assert [spec.pair for spec in Parameters.check(experts="4").specs()] == ["tr10-tr10"]


def test_costs_need_no_run_and_one_of_six_does_not_match() -> None:
    costs = EXHIBIT.exact()["costs"]
    assert "5 of 6 match" in costs.caption
    row = costs.frame.iloc[0]
    assert (row.name, *row) == ("ResNet-18", "1.82e9", "the network", "1.8141e9", "-0.3", "mismatch")


def test_shares_that_the_printed_macs_imply() -> None:
    shares = {"resnet18": (44, 25.5), "resnet34": (38, 20), "mobilenet_v3_small": (48, 29)}
    for network, each in shares.items():
        for tau, share in zip((0.75, 0.5), each, strict=True):
            implied = implied_shares(network, tau)
            low, high = map(float, implied["rounding allows, %"].split(" to "))
            assert low < float(implied["share, %"]) < high
            assert float(implied["share, %"]) == pytest.approx(share, abs=0.6)
    assert implied_shares("resnet18", 0.6) == implied_shares("tr10", 0.75) == {}, "what is not printed"


EARLY = "bagging tau=0.75"


def test_the_table_has_every_network_run_or_not_and_claims_are_judged_by_network(record_of: RecordOf) -> None:
    values = {
        Cell(0, row="resnet18"): [69.76, 69.76, 69.76],
        Cell(1, row="resnet18"): [71.4, 71.5, 71.6],
        Cell(4, row="resnet18"): [72.1, 72.2, 72.3],
        Cell(4, EARLY, "resnet18"): [72.0, 72.15, 72.2],
        Cell(4, EARLY, "resnet18", "runs_expert"): [43.0, 44.0, 45.0],
        Cell(4, EARLY, "resnet18", "macs_millions"): [2170.0, 2180.0, 2190.0],
    }
    imagenet = record_of("table3_imagenet", values, "imagenet", "paper", base="resnet18", spec={"pretrained": True})
    tables, claims = EXHIBIT.tables(imagenet), judged(EXHIBIT, imagenet)
    main, exits = tables["main"].frame, tables["exits"].frame
    assert len(main) == 3 * (1 + 3 * 3)
    row = main.loc["ResNet-18, 4 experts"]
    assert (row["paper"], row["ours"], row["verdict"]) == ("72.17", "72.20 ± 0.10", "reproduced")
    assert main.loc["ResNet-34, 20 experts, exit at 0.5", "ours"] == "not run"
    assert list(exits.loc["ResNet-18, 4 experts, exit at 0.75"])[:3] == ["44.0 ± 1.0", "2180.0 ± 10.0", "43.8"]
    assert claims["Ia1"].verdict == claims["Ia2"].verdict == claims["Ia3"].verdict == Verdict.HOLDS
    assert claims["Ia3"].paper == pytest.approx(-0.06) and claims["Ib4"].verdict == Verdict.NOT_RUN


def test_a_stand_in_says_so_and_judges_nothing(record_of: RecordOf) -> None:
    values = {Cell(0, row="tr10"): [70.0], Cell(4, row="tr10"): [72.0], Cell(4, EARLY, "tr10"): [71.0]}
    modes = record_of("table3_imagenet", values, "modes", "quick", base="tr10", expert="tr10")
    main = EXHIBIT.tables(modes)["main"]
    assert main.caption.startswith("A STAND-IN") and "paper" not in main.frame
    assert list(main.frame.index)[:2] == ["tr10 alone", "tr10, 4 experts"]
    assert EXHIBIT.judge(modes) == []
