"""Table 3 shown: exact costs and implied shares without any run, the paper's numbers beside ours, stand-ins as such."""

from collections.abc import Callable

import pytest

from repro.report.claim import Cell
from repro.report.exhibits import exhibit
from repro.report.exhibits.table3_imagenet import implied_share
from repro.report.verdict import Verdict
from repro.study.results import StudyResult

TABLE3 = exhibit("table3_imagenet")
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
    costs = TABLE3.exact()["costs"]
    assert "5 of 6 match" in costs.caption
    assert costs.frame.loc["ResNet-18, the network"].tolist() == ["1.82e9", "1.8141e9", "mismatch"]
    assert costs.frame.loc["MobileNetV3-small, with gate and one expert", "match"] == "match"


@pytest.mark.parametrize(
    ("network", "tau", "share"),
    [("resnet18", 0.75, 44), ("resnet18", 0.5, 25.5), ("resnet34", 0.75, 38), ("resnet34", 0.5, 20),
     ("mobilenet_v3_small", 0.75, 48), ("mobilenet_v3_small", 0.5, 29)],
)  # fmt: skip
def test_shares_that_the_printed_macs_imply(network: str, tau: float, share: float) -> None:
    found = implied_share(network, tau)
    assert found and found.low < found.percent < found.high
    assert found.percent == pytest.approx(share, abs=0.6)


def test_nothing_is_implied_of_what_is_not_printed() -> None:
    assert implied_share("resnet18", 0.6) is None and implied_share("tr10", 0.75) is None


def test_the_table_has_every_network_run_or_not(imagenet: StudyResult) -> None:
    shown = TABLE3.tables(imagenet)
    main, exits = shown["main"].frame, shown["exits"].frame
    assert len(main) == 3 * (1 + 3 * 3)
    row = main.loc["ResNet-18, 4 experts"]
    assert (row["paper"], row["ours"], row["verdict"]) == ("72.17", "72.20 ± 0.10", "reproduced")
    assert main.loc["ResNet-34, 20 experts, exit at 0.5", "ours"] == "not run"
    row = exits.loc["ResNet-18, 4 experts, exit at 0.75"]
    assert (row.iloc[0], row.iloc[1], row.iloc[2]) == ("44.0 ± 1.0", "2180.0 ± 10.0", "43.8")


def test_claims_are_judged_by_network(imagenet: StudyResult) -> None:
    judged = {j.claim.key: j for j in TABLE3.judge(imagenet)}
    assert judged["Ia1"].verdict == judged["Ia2"].verdict == judged["Ia3"].verdict == Verdict.HOLDS
    assert judged["Ia3"].paper == pytest.approx(-0.06) and judged["Ib4"].verdict == Verdict.NOT_RUN
    assert "With exits at 0.75, 44.0 ± 1.0 % of the images run their expert" in TABLE3.read(imagenet)
    assert "accuracy changes by −0.08 with 4 experts (points)" in TABLE3.read(imagenet)


def test_a_stand_in_says_so_and_judges_nothing(record_of: Callable[..., StudyResult]) -> None:
    values = {Cell(0, row="tr10"): [70.0], Cell(4, row="tr10"): [72.0], Cell(4, EARLY, "tr10"): [71.0]}
    modes = record_of("table3_imagenet", values, "modes", "quick", base="tr10", expert="tr10")
    main = TABLE3.tables(modes)["main"]
    assert main.caption.startswith("A STAND-IN") and "paper" not in main.frame
    assert list(main.frame.index)[:2] == ["tr10 alone", "tr10, 4 experts"]
    assert TABLE3.judge(modes) == [] and "stand-in" in TABLE3.read(modes)
