"""DeepMoE's Table 2: a run at smoke scale, and what is shown of a record."""

from pathlib import Path
from typing import Any

import pytest
import torch

from repro.errors import TrainingError
from repro.exhibits import open_exhibit
from repro.exhibits.deepmoe_table2_cifar import EXHIBIT, METHODS, NARROWS_COST, PLAINS_COST, Parameters
from repro.exhibits.deepmoe_table2_cifar.beside import BESIDE, LIKE_EVERYWHERE, like_everywhere, width_of
from repro.exhibits.deepmoe_table2_cifar.beside import check_networks as check
from repro.families.single_gate.controls import plain_cost
from repro.models.cost import model_cost
from repro.report.claim import Cell
from repro.report.play_networks import NetworksPlay
from repro.report.verdict import Verdict
from repro.study.graph import ordered
from repro.study.results import StudyResult, load_results
from tests.exhibits.conftest import Collapse, Smoke
from tests.helpers import drawn_at
from tests.records import RecordOf, judged

VALUES = {"narrow": 50.0, "deepmoe": 53.0, "embedding": 30.0, "equal-cost": 55.5, "wide": 56.0}
MACS = {"narrow": 4.0, "deepmoe": 4.1, "embedding": 0.3, "equal-cost": 4.2, "wide": 16.0}


def made(record_of: RecordOf, narrows: float = 97.6, plains: float = 99.0, **more: str) -> StudyResult:
    cells = {Cell(0, m): [v, v + 0.5, v + 1.1] for m, v in VALUES.items()}
    cells |= {Cell(0, m, metric="macs_millions"): [v] * 3 for m, v in MACS.items()}
    cells |= {NARROWS_COST: [narrows] * 3, PLAINS_COST: [plains] * 3}
    known = {"base": "resnet56", "dataset": "cifar100", "scale": "gpu"}
    return record_of("deepmoe_table2_cifar", cells, **{**known, **more})


def test_a_run_records_all_rows_and_a_second_trains_nothing(
    smoke: Smoke, smoke_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside = ["4 times as wide", "VGG16 W1-High", "VGG16 W13-All"]
    asked = {"ways": "true", "beside": ",".join(beside)}
    result = smoke(EXHIBIT, **asked)
    assert {m.method for m in result.measurements} == {*METHODS, "shuffled"}
    for row in beside:
        (whole,), (gated,) = (result.values("macs_millions", method, 0, row) for method in ("wide", "deepmoe"))
        assert gated < 1.3 * whole, "embedding and heads are a larger share of a small network"
    assert 95 < result.values(LIKE_EVERYWHERE, "deepmoe", 0, beside[1])[0] < 100, "as many parameters: DM6's premise"
    tables = EXHIBIT.tables(result)
    assert list(tables["beside"].frame.index)[::2] == [f"{row}, DeepMoE" for row in beside]
    assert len(tables["classes"].frame) == 10 and "by image, %" in tables["channels"].frame
    classes, shuffled, opened = (result.tables[name] for name in ("classes", "shuffled", "channels"))
    assert len(classes.rows) == len(set(classes.column("class"))) == 20
    assert len(shuffled.rows) == 40 and set(shuffled.column("shuffle")) == {"own class", "another superclass"}
    for name in ("own class", "another superclass"):
        mean = sum(shuffled.where(shuffle=name).column("top1")) / 20
        assert result.values("top1", "shuffled", 0, name) == [pytest.approx(mean, abs=0.01)]
    assert len(opened.rows) == 9 and sum(opened.column("channels")) == 248
    (active,), (macs,) = result.values("active", "deepmoe", 0), result.values("macs_millions", "deepmoe", 0)
    (wide,), (narrow,) = result.values("macs_millions", "wide", 0), result.values("macs_millions", "narrow", 0)
    assert 0 < active <= 100 and narrow < wide
    assert sum(classes.column("active")) / 20 == pytest.approx(active, abs=0.01)
    assert wide == pytest.approx(model_cost("tr10", None, 20, 32, 0, 0.125).base_macs / 1e6, abs=1e-4)
    assert result.values("narrows_cost", "deepmoe", 0) == [pytest.approx(100 * narrow / macs, abs=0.01)]
    capsys.readouterr()
    chapter = open_exhibit(EXHIBIT.name, {**asked, "scale": "smoke", "device": "cpu", "root": str(smoke_root)})
    chapter.run()
    assert chapter.own[0].measurements == result.measurements and "nothing was trained" in capsys.readouterr().err
    play = chapter.play()
    assert isinstance(play, NetworksPlay)
    assert len(play.mixtures) == 6 and "multiply-adds an image" in play.by_cost(play.mixture)
    network, images, _ = play.batch(4)
    assert torch.allclose(network(images).logits, play.scores(play.mixture)[:4], atol=0.05)


def test_gates_on_inputs_are_another_network_in_a_record_of_their_own(smoke: Smoke, smoke_root: Path) -> None:
    usual, other = Parameters.check(scale="smoke"), Parameters.check(scale="smoke", gate_at="input")
    of = [parameters.deepmoe(parameters.narrow_networks()[0], 2.0) for parameters in (usual, other)]
    assert [each.model.gate_at for each in of] == ["output", "input"]
    assert not {goal.label for goal in usual.others()} & {goal.label for goal in other.others()}
    results = [smoke(EXHIBIT), smoke(EXHIBIT, gate_at="input")]
    names = ["deepmoe_table2_cifar-modes-smoke", "deepmoe_table2_cifar-modes-smoke-gates-on-inputs"]
    assert [result.name for result in results] == names == sorted(load_results(smoke_root / "results", EXHIBIT.name))
    assert results[0].values("top1", "narrow", 0) == results[1].values("top1", "narrow", 0)
    assert len(results[1].tables["channels"].rows) == 8
    assert "gates-on-inputs" in EXHIBIT.tables(results[1])["main"].caption
    assert [axes.get_title() for axes in EXHIBIT.figures(results)["main"].axes] == [
        "modes, smoke scale", "modes, smoke scale, gates-on-inputs",
    ]  # fmt: skip


def test_other_networks_than_the_usual_ones_are_recorded_apart() -> None:
    def part(**asked: Any) -> str:
        return Parameters.check(**{"scale": "gpu", "dataset": "cifar100"} | asked).part()

    usual = {"backbone": "resnet56", "narrow": 1, "wide": 2, "mu": 0, "lam": "1,2", "ways": True}
    assert part() == part(**usual, beside="VGG16 W4-Low") == ""
    widened = part(backbone="vgg16-W4-Low", wide=1, gated="widened")
    assert (part(backbone="resnet110"), widened) == ("resnet110", "vgg16-W4-Low-wide-1-widened-gated")
    laptop = {"scale": "laptop", "backbone": "tr10"}
    assert (part(**laptop), part(**laptop, narrow=0.25, gate_at="input")) == ("", "narrow-0.25-gates-on-inputs")


def test_networks_beside_are_of_the_first_seed_and_of_its_images_and_lambda() -> None:
    parameters = Parameters.check(scale="paper", dataset="cifar100", seeds="0,1", lam="1.5", beside=",".join(BESIDE))
    assert len(parameters.goals()) == 2 * (2 + 1) + 2 * len(BESIDE)
    spec, later = parameters.narrow_networks()
    assert not parameters.others_beside(later, 1.5), "one seed, an anecdote"
    networks = parameters.others_beside(spec, 1.5)
    assert list(networks) == list(BESIDE)
    for plain, asked in networks.values():
        assert (plain.seed, asked.spec.seed, asked.model.lam) == (0, 0, 1.5)
        assert (plain.base, plain.width, asked.model.width) == (asked.model.backbone, asked.model.width, plain.width)
    assert {asked.model.gated for _, asked in networks.values() if asked.model.backbone != "resnet56"} == {"widened"}
    assert [networks[f"{n} times as wide"][0].width for n in (4, 8)] == [4.0, 8.0]
    check(1, 8, "input", ["4 times as wide", "8 times as wide"])  # networks that can be made are not refused
    check(2, 4, "output", list(BESIDE)[:1] + list(BESIDE)[2:])


def test_vggs_are_held_against_the_one_widened_everywhere_by_parameters() -> None:
    params = {"8 times as wide": 9, "VGG16 W1-High": 5, "VGG16 W13-All": 10, "VGG16 W4-Low": 20}
    assert like_everywhere(params) == {"VGG16 W1-High": 50.0, "VGG16 W4-Low": 50.0}
    assert like_everywhere({"VGG16 W1-High": 5}) == {}


def test_claims_of_networks_beside_can_fail_and_have_the_papers_numbers(record_of: RecordOf) -> None:
    tops = {"W13-All": 60.0, "W1-High": 59.0, "W1-Mid": 61.0, "W4-Low": 50.0}
    tops = {**{f"VGG16 {name}": top for name, top in tops.items()}, "4 times as wide": 60.0}
    cells = {Cell(0, "deepmoe", row): [top, top + 0.3, top + 0.2] for row, top in tops.items()}
    likes = {"VGG16 W1-High": 97.0, "VGG16 W1-Mid": 96.0, "VGG16 W4-Low": 40.0}
    cells |= {Cell(0, "deepmoe", row, LIKE_EVERYWHERE): [like] * 3 for row, like in likes.items()}
    cells[Cell(0, "wide", "4 times as wide")] = [63.0, 63.1, 63.2]
    cells[Cell(0, "deepmoe", "4 times as wide", "macs_millions")] = [5.0, 5.0, 5.0]
    result = record_of("deepmoe_table2_cifar", cells, base="tr10 at width 0.125", dataset="cifar100", scale="laptop")
    outcomes = judged(EXHIBIT, result)
    verdicts = {
        "DM6/W1-High": Verdict.HOLDS, "DM6/W1-Mid": Verdict.OPPOSITE, "DM6/W4-Low": Verdict.NO_PREMISE,
        "DM3/4 times as wide": Verdict.OPPOSITE, "DM3/8 times as wide": Verdict.NOT_RUN,
    }  # fmt: skip
    assert {key: outcomes[key].verdict for key in verdicts} == verdicts
    assert "of as many parameters" in outcomes["DM6/W4-Low"].claim.text
    assert outcomes["DM6/W1-Mid"].paper == pytest.approx(0.71)
    table = EXHIBIT.tables(result)["beside"].frame
    assert table.loc["VGG16 W13-All, DeepMoE", "paper"] == "73.39"
    assert table["MACs, millions"].tolist()[0] == "5.000 ± 0.000"
    assert "beside" not in EXHIBIT.tables(made(record_of))
    wide = made(record_of).model_copy(update={"part": "wide-4"})
    assert EXHIBIT.tables(wide)["main"].frame["paper"].tolist()[:2] == ["68.54", "–"], "the paper's is twice as wide"


def test_lambda_is_taken_on_validation_images_and_the_scan_recorded(smoke: Smoke) -> None:
    parameters = Parameters.check(scale="smoke", lam="0.5,8")
    assert [goal.label for goal in parameters.goals()][2:] == [
        f"DeepMoE tr10 at width 0.125, λ {lam}, μ 1, on modes, seed 0" for lam in ("0.5", "8")
    ]
    assert {asked.spec.evaluate for asked in parameters.scan()} == {"validation"}
    result = smoke(EXHIBIT, lam="0.5,8")
    scan, drawn = result.tables["scan"], EXHIBIT.figures([result])
    assert scan.column("lam") == [0.5, 8.0] and sum(scan.column("taken")) == 1
    rows: list[list[Any]] = scan.rows
    cheap = [row for row in rows if row[5] >= 100 / 1.05]
    (chosen,) = scan.where(taken=1).rows
    assert chosen == (max(cheap, key=lambda row: row[1]) if cheap else max(rows, key=lambda row: (row[5], row[1])))
    assert EXHIBIT.tables(result)["scan"].frame["taken"].tolist().count("taken") == 1
    assert [len(drawn_at(line)[0]) for line in drawn["scan"].axes[0].lines[:2]] == [2, 2]
    assert len(drawn["shuffled"].axes[0].get_yticklabels()) == 20


def test_a_lambda_whose_gates_collapse_is_recorded_and_not_taken(smoke: Smoke, collapse: Collapse) -> None:
    collapse(EXHIBIT, lambda asked: asked.model.lam == 8)
    result = smoke(EXHIBIT, lam="8,0.5")
    scan = result.tables["scan"]
    assert scan.column("lam") == [8.0, 0.5] and scan.column("taken") == [0, 1] and scan.column("top1")[0] is None
    assert EXHIBIT.tables(result)["scan"].frame["taken"].tolist() == ["collapsed", "taken"]
    assert len(drawn_at(EXHIBIT.figures([result])["scan"].axes[0].lines[0])[0]) == 1
    with pytest.raises(TrainingError, match="no channel is active"):
        smoke(EXHIBIT, lam="8")


def test_another_way_whose_gates_collapse_is_on_record_as_collapsed(
    smoke: Smoke, collapse: Collapse, capsys: pytest.CaptureFixture[str]
) -> None:
    error = TrainingError("the gates collapsed: stem had no active channel in epoch 2; lower lam (2.0)")
    collapse(EXHIBIT, lambda asked: asked.model.mu == 0, error)
    result = smoke(EXHIBIT, ways="true")
    assert [m.metric for m in result.measurements if m.method == "mu-0"] == ["collapsed"]
    assert "wide DeepMoE, μ = 0: left out, the gates collapsed: stem" in capsys.readouterr().err
    outcomes, main = judged(EXHIBIT, result), EXHIBIT.tables(result)["main"]
    assert outcomes["DM7"].verdict is Verdict.COLLAPSED and outcomes["DM4"].verdict is Verdict.ANECDOTE
    part = judged(EXHIBIT, result.model_copy(update={"part": "narrow-1"}))
    assert part["DM7"].verdict is Verdict.COLLAPSED and "DM6/W4-Low" in outcomes and "DM6/W4-Low" not in part
    assert main.frame.loc["wide DeepMoE, gates on outputs, μ = 0", "ours"] == "collapsed"
    assert main.caption.endswith("μ = 0, seed 0: the gates collapsed: stem had no active channel in epoch 2.")


def test_the_plain_network_of_deepmoes_cost_is_near_it_however_wide_or_narrow_that_is() -> None:
    (spec,) = Parameters.check(scale="laptop", dataset="cifar100").narrow_networks()
    for width in (0.09375, 0.125, 0.25):  # the first is narrower than the narrow network; others may cost the same
        macs = model_cost("tr10", None, 100, 32, 0, width).base_macs
        nearest = width_of(spec, 0.25, macs)
        assert model_cost("tr10", None, 100, 32, 0, nearest).base_macs == macs
        assert nearest == width or width == 0.09375
    spec, *_ = Parameters(scale="gpu", dataset="cifar100", backbone="vgg16").narrow_networks()
    dear = 1.3 * plain_cost(spec).macs
    for times in (1.25, 2, 8):
        assert plain_cost(spec, width_of(spec, times * spec.width, dear)).macs == pytest.approx(dear, rel=0.05)


def test_a_deepmoe_is_a_goal_of_the_plan_as_its_controls_are() -> None:
    parameters = Parameters.check(scale="smoke", seeds="0,1", ways=True)
    kinds = [[step.kind for step in ordered(goal.steps)] for goal in parameters.goals()]
    whole = ["deepmoe", "deepmoe-frozen", "predictions", "shuffles"]
    joint = ["deepmoe", "predictions"]
    assert kinds[4:] == [whole, joint, whole[:-1], whole], "the other ways are the first seed's, without shuffles"


def test_the_papers_numbers_stand_beside_ours_as_accuracies_and_claims_can_fail(record_of: RecordOf) -> None:
    result = made(record_of)
    main, outcomes = EXHIBIT.tables(result)["main"].frame, judged(EXHIBIT, result)
    assert main["paper"].tolist() == ["68.54", "70.23", *["–"] * 5]
    assert "verdict" not in main  # which only the paper's own scale has
    assert EXHIBIT.tables(result)["cost"].frame["MACs, millions"].tolist()[1] == "4.100 ± 0.000"
    others = made(record_of, base="tr10 at width 0.125"), made(record_of, dataset="cifar10")
    narrow, ten = (EXHIBIT.tables(each)["main"].frame["paper"].tolist() for each in others)
    assert (narrow, ten[:2]) == (["–"] * 7, ["93.45", "93.97"])
    verdicts = {"DM1": Verdict.HOLDS, "DM2": Verdict.OPPOSITE, "DM3": Verdict.OPPOSITE, "DM8": Verdict.HOLDS}
    assert {key: outcomes[key].verdict for key in verdicts} == verdicts
    assert outcomes["DM1"].paper == pytest.approx(1.69) and outcomes["DM1"].controlled
    void = judged(EXHIBIT, made(record_of, narrows=90.0, plains=90.0))
    assert void["DM1"].verdict == void["DM2"].verdict == Verdict.NO_PREMISE, "where DeepMoE costs more"


def test_both_stages_are_the_papers_at_its_scale_and_together_as_long_as_the_plain_networks() -> None:
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
    parameters = Parameters.check(scale="laptop", dataset="cifar100", epochs=7)
    (spec,) = parameters.narrow_networks()
    asked = parameters.deepmoe(spec, 2.0)
    assert asked.recipe_two and asked.recipe.epochs + asked.recipe_two.epochs == spec.base_recipe.epochs == 7
    assert [bare.width for bare in parameters.bases()] == [0.125, 0.25] and parameters.specs() == []
