"""Table 3 shown: exact costs and implied shares without any run, the paper's numbers beside ours, stand-ins as such."""

from collections.abc import Callable
from pathlib import Path

import pytest

from repro.errors import SpecError
from repro.exhibits.table3_imagenet import EXHIBIT, NETWORKS, Parameters, implied_shares, run
from repro.models.registry import build_backbone
from repro.report.claim import Cell
from repro.report.verdict import Verdict
from repro.study.results import StudyResult
from tests.conftest import write_pictures

IMAGENET = {"scale": "smoke", "dataset": "imagenet", "networks": "mobilenet_v3_small"}

RESNET = {"scale": "paper", "dataset": "imagenet", "networks": "resnet18", "experts": "1"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three classes of ten training and four validation images each."""
    return write_pictures(tmp_path / "imagenet", {"train": 10, "val": 4}, (80, 72)).parent


def test_it_runs_end_to_end_on_a_folder_in_imagenets_layout(root: Path) -> None:
    result = run(Parameters.check(**IMAGENET, experts="2", root=str(root)))
    row = "mobilenet_v3_small"
    assert (result.base, result.rows(), result.numbers_of_experts()) == (row, [row], [2])
    for tau in ("0.75", "0.5"):
        (runs,) = result.values("runs_expert", f"bagging tau={tau}", 2, row)
        (macs,) = result.values("macs_millions", f"bagging tau={tau}", 2, row)
        base, moe = (cost.macs / 1e6 for cost in result.costs if cost.num_experts in (0, 2))
        assert 0 <= runs <= 100 and base < macs <= moe + 1e-4
    assert len(result.values("top1", "backbone", 0, row)) == 1


def test_weights_that_cannot_be_fetched_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*arguments: object, **more: object) -> None:
        raise OSError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(SpecError, match=r"weights of resnet18 could not be downloaded \(no network\); put http.*"):
        build_backbone("resnet18", 1000, pretrained=True)


def test_torchvisions_weights_on_a_folder_of_other_classes_are_refused(root: Path) -> None:
    asked = {**RESNET, "root": str(root)}
    with pytest.raises(SpecError, match=r"has 3 classes, torchvision's weights have 1000.*set pretrained to false"):
        run(Parameters.check(**asked))
    assert not any(spec.pretrained for spec in Parameters.check(**asked, pretrained=False).specs())


def test_networks_are_table_3s_on_imagenet_and_the_scales_own_elsewhere() -> None:
    on_imagenet = Parameters.check(scale="paper", dataset="imagenet", experts="4").specs()
    assert [spec.base for spec in on_imagenet] == list(NETWORKS) and all(spec.pretrained for spec in on_imagenet)
    assert [spec.pair for spec in Parameters.check(experts="4").specs()] == ["tr10-tr10"]


EARLY = "bagging tau=0.75"


@pytest.fixture
def imagenet(record_of: Callable[..., StudyResult]) -> StudyResult:
    values = {
        Cell(0, row="resnet18"): [69.76, 69.76, 69.76],
        Cell(1, row="resnet18"): [71.4, 71.5, 71.6],
        Cell(4, row="resnet18"): [72.1, 72.2, 72.3],
        Cell(4, EARLY, "resnet18"): [72.0, 72.15, 72.2],
        Cell(4, EARLY, "resnet18", "runs_expert"): [43.0, 44.0, 45.0],
        Cell(4, EARLY, "resnet18", "macs_millions"): [2170.0, 2180.0, 2190.0],
    }
    return record_of("table3_imagenet", values, "imagenet", "paper", base="resnet18", spec={"pretrained": True})


def test_costs_need_no_run_and_one_of_six_does_not_match() -> None:
    costs = EXHIBIT.exact()["costs"]
    assert "5 of 6 match" in costs.caption
    row = costs.frame.iloc[0]
    assert (row.name, *row) == ("ResNet-18", "1.82e9", "the network", "1.8141e9", "-0.3", "mismatch")


@pytest.mark.parametrize(
    ("network", "tau", "share"),
    [("resnet18", 0.75, 44), ("resnet18", 0.5, 25.5), ("resnet34", 0.75, 38), ("resnet34", 0.5, 20),
     ("mobilenet_v3_small", 0.75, 48), ("mobilenet_v3_small", 0.5, 29)],
)  # fmt: skip
def test_shares_that_the_printed_macs_imply(network: str, tau: float, share: float) -> None:
    found = implied_shares(network, tau)
    low, high = map(float, found["rounding allows, %"].split(" to "))
    assert low < float(found["share, %"]) < high
    assert float(found["share, %"]) == pytest.approx(share, abs=0.6)


def test_nothing_is_implied_of_what_is_not_printed() -> None:
    assert implied_shares("resnet18", 0.6) == implied_shares("tr10", 0.75) == {}


def test_the_table_has_every_network_run_or_not(imagenet: StudyResult) -> None:
    shown = EXHIBIT.tables(imagenet)
    main, exits = shown["main"].frame, shown["exits"].frame
    assert len(main) == 3 * (1 + 3 * 3)
    row = main.loc["ResNet-18, 4 experts"]
    assert (row["paper"], row["ours"], row["verdict"]) == ("72.17", "72.20 ± 0.10", "reproduced")
    assert main.loc["ResNet-34, 20 experts, exit at 0.5", "ours"] == "not run"
    row = exits.loc["ResNet-18, 4 experts, exit at 0.75"]
    assert (row.iloc[0], row.iloc[1], row.iloc[2]) == ("44.0 ± 1.0", "2180.0 ± 10.0", "43.8")


def test_claims_are_judged_by_network(imagenet: StudyResult) -> None:
    judged = {j.claim.key: j for j in EXHIBIT.judge(imagenet)}
    assert judged["Ia1"].verdict == judged["Ia2"].verdict == judged["Ia3"].verdict == Verdict.HOLDS
    assert judged["Ia3"].paper == pytest.approx(-0.06) and judged["Ib4"].verdict == Verdict.NOT_RUN


def test_a_stand_in_says_so_and_judges_nothing(record_of: Callable[..., StudyResult]) -> None:
    values = {Cell(0, row="tr10"): [70.0], Cell(4, row="tr10"): [72.0], Cell(4, EARLY, "tr10"): [71.0]}
    modes = record_of("table3_imagenet", values, "modes", "quick", base="tr10", expert="tr10")
    main = EXHIBIT.tables(modes)["main"]
    assert main.caption.startswith("A STAND-IN") and "paper" not in main.frame
    assert list(main.frame.index)[:2] == ["tr10 alone", "tr10, 4 experts"]
    assert EXHIBIT.judge(modes) == []
