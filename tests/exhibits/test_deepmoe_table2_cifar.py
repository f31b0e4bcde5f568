"""DeepMoE's Table 2: a run at smoke scale, and what is shown of a record."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from repro.errors import TrainingError
from repro.exhibits import open_exhibit
from repro.exhibits.deepmoe_table2_cifar import EXHIBIT, METHODS, NARROWS_COST, PLAINS_COST, Parameters, run
from repro.exhibits.deepmoe_table2_cifar.beside import (
    BESIDE,
    LIKE_EVERYWHERE,
    check_networks,
    like_everywhere,
    width_of,
)
from repro.exhibits.deepmoe_table2_cifar.run import numbers
from repro.families.single_gate.controls import plain_cost
from repro.models.cost import model_cost
from repro.report.claim import Cell
from repro.report.play_networks import NetworksPlay
from repro.report.verdict import Verdict
from repro.study.graph import ordered
from repro.study.results import StudyResult, load_results
from tests.exhibits.conftest import Collapse
from tests.helpers import drawn_at

VALUES = {"narrow": 50.0, "deepmoe": 53.0, "embedding": 30.0, "equal-cost": 55.5, "wide": 56.0}
MACS = {"narrow": 4.0, "deepmoe": 4.1, "embedding": 0.3, "equal-cost": 4.2, "wide": 16.0}


def made(
    record_of: Callable[..., StudyResult], narrows: float = 97.6, plains: float = 99.0, **more: str
) -> StudyResult:
    cells = {Cell(0, m): [v, v + 0.5, v + 1.1] for m, v in VALUES.items()}
    cells |= {Cell(0, m, metric="macs_millions"): [v] * 3 for m, v in MACS.items()}
    cells |= {NARROWS_COST: [narrows] * 3, PLAINS_COST: [plains] * 3}
    known = {"base": "resnet56", "dataset": "cifar100", "scale": "gpu"}
    return record_of("deepmoe_table2_cifar", cells, **{**known, **more})


def test_a_run_records_all_rows_and_a_second_trains_nothing(
    smoke_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside = ["4 times as wide", "VGG16 W1-High", "VGG16 W13-All"]
    asked = {"scale": "smoke", "root": str(smoke_root), "ways": "true", "beside": ",".join(beside)}
    result = run(Parameters.check(**asked))
    assert {m.method for m in result.measurements} == {*METHODS, "shuffled"}
    for row in beside:
        (whole,), (gated,) = (result.values("macs_millions", method, 0, row) for method in ("wide", "deepmoe"))
        assert gated < 1.3 * whole, "embedding and heads are a larger share of a small network"
    assert 95 < result.values(LIKE_EVERYWHERE, "deepmoe", 0, beside[1])[0] < 100, "as many parameters: DM6's premise"
    assert list(EXHIBIT.tables(result)["beside"].frame.index)[::2] == [f"{row}, DeepMoE" for row in beside]
    classes = result.tables["classes"]
    assert len(classes.rows) == len(set(classes.column("class"))) == 20
    assert len(EXHIBIT.tables(result)["classes"].frame) == 10
    shuffled = result.tables["shuffled"]
    assert len(shuffled.rows) == 40 and set(shuffled.column("shuffle")) == {"own class", "another superclass"}
    for name in ("own class", "another superclass"):
        assert result.values("top1", "shuffled", 0, name) == [
            pytest.approx(sum(shuffled.where(shuffle=name).column("top1")) / 20, abs=0.01)
        ]
    opened = result.tables["channels"]
    assert len(opened.rows) == 9 and sum(opened.column("channels")) == 248
    assert "by image, %" in EXHIBIT.tables(result)["channels"].frame
    assert sum(classes.column("active")) / 20 == pytest.approx(result.values("active", "deepmoe", 0)[0], abs=0.01)
    (active,), (macs,) = result.values("active", "deepmoe", 0), result.values("macs_millions", "deepmoe", 0)
    (wide,), (narrow,) = result.values("macs_millions", "wide", 0), result.values("macs_millions", "narrow", 0)
    assert 0 < active <= 100 and narrow < wide
    assert wide == pytest.approx(model_cost("tr10", None, 20, 32, 0, 0.125).base_macs / 1e6, abs=1e-4)
    assert result.values("narrows_cost", "deepmoe", 0) == [pytest.approx(100 * narrow / macs, abs=0.01)]
    capsys.readouterr()
    again = run(Parameters.check(**asked))
    assert again.measurements == result.measurements and "nothing was trained" in capsys.readouterr().err
    chapter = open_exhibit("deepmoe_table2_cifar", asked)
    chapter.run()
    play = chapter.play()
    assert isinstance(play, NetworksPlay)
    assert len(play.mixtures) == 6 and "multiply-adds an image" in play.by_cost(play.mixture)
    network, images, _ = play.batch(4)
    assert torch.allclose(network(images).logits, play.scores(play.mixture)[:4], atol=0.05)


def test_gates_on_inputs_are_another_network_in_a_record_of_their_own(smoke_root: Path) -> None:
    asked = {"scale": "smoke", "root": str(smoke_root)}
    usual, other = Parameters.check(**asked), Parameters.check(**asked, gate_at="input")
    of = [parameters.deepmoe(parameters.narrow_networks()[0], 2.0) for parameters in (usual, other)]
    assert [each.model.gate_at for each in of] == ["output", "input"]
    assert not {goal.label for goal in usual.others()} & {goal.label for goal in other.others()}
    results = [run(parameters) for parameters in (usual, other)]
    assert [result.name for result in results] == [
        "deepmoe_table2_cifar-modes-smoke", "deepmoe_table2_cifar-modes-smoke-gates-on-inputs",
    ]  # fmt: skip
    assert sorted(load_results(smoke_root / "results", "deepmoe_table2_cifar")) == [result.name for result in results]
    assert results[0].values("top1", "narrow", 0) == results[1].values("top1", "narrow", 0)
    assert (
        len(results[1].tables["channels"].rows) == 8 and "gates-on-inputs" in EXHIBIT.tables(results[1])["main"].caption
    )
    assert [axes.get_title() for axes in EXHIBIT.figures(results)["main"].axes] == [
        "modes, smoke scale", "modes, smoke scale, gates-on-inputs",
    ]  # fmt: skip


def test_other_networks_than_the_usual_ones_are_recorded_apart() -> None:
    def part(**asked: Any) -> str:
        return Parameters.check(**{"scale": "gpu", "dataset": "cifar100"} | asked).part()

    assert (
        part() == part(backbone="resnet56", narrow=1, wide=2, mu=0, lam="1,2", ways=True, beside="VGG16 W4-Low") == ""
    )
    assert part(backbone="resnet110") == "resnet110"
    widened = {"wide": 1, "gated": "widened"}
    assert part(backbone="vgg16-W4-Low", **widened) == "vgg16-W4-Low-wide-1-widened-gated"
    laptop = {"scale": "laptop", "backbone": "tr10"}
    assert (part(**laptop), part(**laptop, narrow=0.25, gate_at="input")) == ("", "narrow-0.25-gates-on-inputs")


def test_networks_beside_are_of_the_first_seed_and_of_its_images_and_lambda() -> None:
    parameters = Parameters.check(scale="paper", dataset="cifar100", seeds="0,1", lam="1.5", beside=",".join(BESIDE))
    assert len(parameters.goals()) == 2 * (2 + 1) + 2 * len(BESIDE)
    spec, later = parameters.narrow_networks()
    assert not parameters.others_beside(later, 1.5), "one seed, an anecdote"
    found = parameters.others_beside(spec, 1.5)
    assert list(found) == list(BESIDE)
    for plain, asked in found.values():
        assert (plain.seed, asked.spec.seed, asked.model.lam) == (0, 0, 1.5)
        assert (plain.base, plain.width, asked.model.width) == (asked.model.backbone, asked.model.width, plain.width)
    assert {asked.model.gated for _, asked in found.values() if asked.model.backbone != "resnet56"} == {"widened"}
    assert found["VGG16 W4-Low"][0].base_recipe.learning_rate == 0.01, "VGG16's"
    assert [found[f"{n} times as wide"][0].width for n in (4, 8)] == [4.0, 8.0]


@pytest.mark.parametrize(("scale", "rate"), [("laptop", 0.01), ("gpu", 0.04), ("paper", 0.01)])
def test_vgg_is_trained_at_a_tenth_of_the_others_rate_at_every_scale(scale: str, rate: float) -> None:
    usual, vgg = (
        Parameters.check(scale=scale, dataset="cifar100", backbone=backbone).narrow_networks()[0].base_recipe
        for backbone in ("", "vgg16")
    )
    assert vgg.learning_rate == rate and usual.learning_rate == pytest.approx(10 * rate)


def test_vggs_are_held_against_the_one_widened_everywhere_by_parameters() -> None:
    params = {"8 times as wide": 9, "VGG16 W1-High": 5, "VGG16 W13-All": 10, "VGG16 W4-Low": 20}
    assert like_everywhere(params) == {"VGG16 W1-High": 50.0, "VGG16 W4-Low": 50.0}
    assert like_everywhere({"VGG16 W1-High": 5}) == {}


def test_networks_that_can_be_made_are_not_refused() -> None:
    check_networks(1, 8, "input", ["4 times as wide", "8 times as wide"])
    check_networks(2, 4, "output", list(BESIDE)[:1] + list(BESIDE)[2:])


def test_claims_of_networks_beside_can_fail_and_have_the_papers_numbers(record_of: Callable[..., StudyResult]) -> None:
    tops = {
        "VGG16 W13-All": 60.0,
        "VGG16 W1-High": 59.0,
        "VGG16 W1-Mid": 61.0,
        "VGG16 W4-Low": 50.0,
        "4 times as wide": 60.0,
    }
    cells = {Cell(0, "deepmoe", row): [top, top + 0.3, top + 0.2] for row, top in tops.items()}
    likes = {"VGG16 W1-High": 97.0, "VGG16 W1-Mid": 96.0, "VGG16 W4-Low": 40.0}
    cells |= {Cell(0, "deepmoe", row, LIKE_EVERYWHERE): [like] * 3 for row, like in likes.items()}
    cells[Cell(0, "wide", "4 times as wide")] = [63.0, 63.1, 63.2]
    cells[Cell(0, "deepmoe", "4 times as wide", "macs_millions")] = [5.0, 5.0, 5.0]
    result = record_of("deepmoe_table2_cifar", cells, base="tr10 at width 0.125", dataset="cifar100", scale="laptop")
    judged = {j.claim.key: j for j in EXHIBIT.judge(result)}
    assert [judged[f"DM6/{name}"].verdict for name in ("W1-High", "W1-Mid", "W4-Low")] == [
        Verdict.HOLDS, Verdict.OPPOSITE, Verdict.NO_PREMISE,
    ]  # fmt: skip
    assert "of as many parameters" in judged["DM6/W4-Low"].claim.text
    assert judged["DM6/W1-Mid"].paper == pytest.approx(0.71)
    wider = [judged[f"DM3/{times} times as wide"] for times in (4, 8)]
    assert [each.verdict for each in wider] == [Verdict.OPPOSITE, Verdict.NOT_RUN]
    table = EXHIBIT.tables(result)["beside"].frame
    assert table.loc["VGG16 W13-All, DeepMoE", "paper"] == "73.39"
    assert table["MACs, millions"].tolist()[0] == "5.000 ± 0.000"
    assert "beside" not in EXHIBIT.tables(made(record_of))
    wide = made(record_of).model_copy(update={"part": "wide-4"})
    assert EXHIBIT.tables(wide)["main"].frame["paper"].tolist()[:2] == ["68.54", "–"], "the paper's is twice as wide"


def test_lambda_is_taken_on_validation_images_and_the_scan_recorded(smoke_root: Path) -> None:
    parameters = Parameters.check(scale="smoke", root=str(smoke_root), lam="0.5,8")
    assert [goal.label for goal in parameters.goals()][2:] == [
        f"DeepMoE tr10 at width 0.125, λ {lam}, μ 1, on modes, seed 0" for lam in ("0.5", "8")
    ]
    assert {asked.spec.evaluate for asked in parameters.scan()} == {"validation"}
    result = run(parameters)
    scan = result.tables["scan"]
    assert scan.column("lam") == [0.5, 8.0] and sum(scan.column("taken")) == 1
    rows: list[list[Any]] = scan.rows
    cheap = [row for row in rows if row[5] >= 100 / 1.05]
    (taken,) = scan.where(taken=1).rows
    assert taken == (max(cheap, key=lambda row: row[1]) if cheap else max(rows, key=lambda row: row[5]))
    assert EXHIBIT.tables(result)["scan"].frame["taken"].tolist().count("taken") == 1
    drawn = EXHIBIT.figures([result])
    assert [len(drawn_at(line)[0]) for line in drawn["scan"].axes[0].lines[:2]] == [2, 2]
    assert len(drawn["shuffled"].axes[0].get_yticklabels()) == 20


def test_a_lambda_whose_gates_collapse_is_recorded_and_not_taken(smoke_root: Path, collapse: Collapse) -> None:
    collapse(numbers, lambda asked: asked.model.lam == 8)
    result = run(Parameters.check(scale="smoke", root=str(smoke_root), lam="8,0.5"))
    scan = result.tables["scan"]
    assert scan.column("lam") == [0.5, 8.0] and scan.column("taken") == [1, 0] and scan.column("top1")[1] is None
    assert EXHIBIT.tables(result)["scan"].frame["taken"].tolist() == ["taken", "collapsed"]
    assert len(drawn_at(EXHIBIT.figures([result])["scan"].axes[0].lines[0])[0]) == 1
    with pytest.raises(TrainingError, match="no channel is active"):
        run(Parameters.check(scale="smoke", root=str(smoke_root), lam="8"))


def test_another_way_whose_gates_collapse_is_on_record_as_collapsed(
    smoke_root: Path, collapse: Collapse, capsys: pytest.CaptureFixture[str]
) -> None:
    error = TrainingError("the gates collapsed: stem had no active channel in epoch 2; lower lam (2.0)")
    collapse(numbers, lambda asked: asked.model.mu == 0, error)
    result = run(Parameters.check(scale="smoke", root=str(smoke_root), ways="true"))
    assert [m.metric for m in result.measurements if m.method == "mu-0"] == ["collapsed"]
    assert "wide DeepMoE, μ = 0: left out, the gates collapsed: stem" in capsys.readouterr().err
    judged = {j.claim.key: j for j in EXHIBIT.judge(result)}
    assert judged["DM7"].verdict is Verdict.COLLAPSED and judged["DM4"].verdict is Verdict.ANECDOTE
    frame, caption = EXHIBIT.tables(result)["main"].frame, EXHIBIT.tables(result)["main"].caption
    assert frame.loc["wide DeepMoE, μ = 0", "ours"] == "collapsed"
    assert caption.endswith("wide DeepMoE, μ = 0, seed 0: the gates collapsed: stem had no active channel in epoch 2.")


def test_the_plain_network_of_deepmoes_cost_may_be_smaller_than_the_narrow_one() -> None:
    (spec,) = Parameters.check(scale="laptop", dataset="cifar100").narrow_networks()
    cost = {w: model_cost("tr10", None, 100, 32, 0, w).base_macs for w in (0.09375, 0.125, 0.25)}
    for width, macs in cost.items():
        found = width_of(spec, 0.25, macs)
        assert model_cost("tr10", None, 100, 32, 0, found).base_macs == macs and (found == width or width == 0.09375)


def test_the_plain_network_of_deepmoes_cost_is_near_it_however_wide_deepmoe_is() -> None:
    spec, *_ = Parameters(scale="gpu", dataset="cifar100", backbone="vgg16").narrow_networks()
    macs = 1.3 * plain_cost(spec).macs
    for times in (1.25, 2, 8):
        found = plain_cost(spec, width_of(spec, times * spec.width, macs)).macs
        assert found == pytest.approx(macs, rel=0.05)


def test_a_deepmoe_is_a_goal_of_the_plan_as_its_controls_are() -> None:
    parameters = Parameters.check(scale="smoke", seeds="0,1", ways=True)
    kinds = [[step.kind for step in ordered(goal.steps)] for goal in parameters.goals()]
    whole = ["deepmoe", "deepmoe-frozen", "predictions", "shuffles"]
    joint = ["deepmoe", "predictions"]
    assert kinds[4:] == [whole, joint, whole[:-1], whole], "the other ways are the first seed's, without shuffles"


def test_the_papers_numbers_stand_beside_ours_as_accuracies(record_of: Callable[..., StudyResult]) -> None:
    main = EXHIBIT.tables(made(record_of))["main"].frame
    assert main["paper"].tolist() == ["68.54", "70.23", *["–"] * 5]
    assert "verdict" not in main  # which only the paper's own scale has
    assert EXHIBIT.tables(made(record_of, base="tr10 at width 0.125"))["main"].frame["paper"].tolist() == ["–"] * 7
    ten = EXHIBIT.tables(made(record_of, dataset="cifar10"))["main"].frame
    assert ten["paper"].tolist()[:2] == ["93.45", "93.97"]
    assert EXHIBIT.tables(made(record_of))["cost"].frame["MACs, millions"].tolist()[1] == "4.100 ± 0.000"


def test_claims_can_fail_and_dm1_is_void_where_deepmoe_costs_more(record_of: Callable[..., StudyResult]) -> None:
    judged = {j.claim.key: j for j in EXHIBIT.judge(made(record_of))}
    assert [judged[key].verdict for key in ("DM1", "DM2", "DM3", "DM8")] == [
        Verdict.HOLDS, Verdict.OPPOSITE, Verdict.OPPOSITE, Verdict.HOLDS,
    ]  # fmt: skip
    assert judged["DM1"].paper == pytest.approx(1.69) and judged["DM1"].controlled
    void = {j.claim.key: j for j in EXHIBIT.judge(made(record_of, narrows=90.0, plains=90.0))}
    assert void["DM1"].verdict == void["DM2"].verdict == Verdict.NO_PREMISE


def test_at_the_papers_scale_both_stages_are_the_papers() -> None:
    """270 epochs whose rate drops at 150 and 250, then 80 at the rate of then; the plain networks: 350."""
    parameters = Parameters.check(scale="paper", dataset="cifar100")
    (spec,) = parameters.narrow_networks()
    asked = parameters.deepmoe(spec, 2.0)
    assert (spec.base, spec.width, asked.model.backbone, asked.model.width) == ("resnet56", 1.0, "resnet56", 2.0)
    one, two, plain = asked.recipe, asked.recipe_two, spec.base_recipe
    assert two and (one.epochs, two.epochs, plain.epochs) == (270, 80, 350)
    for epoch in range(270):
        assert one.learning_rate_at((epoch + 0.5) / 270) == plain.learning_rate_at((epoch + 0.5) / 350)
    assert two.learning_rate_at(0.5) == pytest.approx(0.001) == pytest.approx(plain.learning_rate_at(0.9))


def test_both_stages_together_are_as_long_as_the_plain_networks() -> None:
    parameters = Parameters.check(scale="laptop", dataset="cifar100", epochs=7)
    (spec,) = parameters.narrow_networks()
    asked = parameters.deepmoe(spec, 2.0)
    assert asked.recipe_two and asked.recipe.epochs + asked.recipe_two.epochs == spec.base_recipe.epochs == 7
    assert (spec.base, spec.width, asked.model.width) == ("tr10", 0.125, 0.25)
    assert [bare.width for bare in parameters.bases()] == [0.125, 0.25] and parameters.specs() == []
