"""The plan of runs: work by hand, and each artifact once."""

import shlex
from pathlib import Path

import pytest

from repro.book.plan import GPU, PAPER, RUNS, SITTING, UNTRAINED, Run, minutes, new_work, plan_table, share
from repro.cli import parser
from repro.exhibits import exhibit
from repro.exhibits.sparse_placement.run import Parameters as Placement
from repro.families.single_gate.scales import default_spec
from repro.families.single_gate.steps import steps
from repro.models.cost import model_cost
from repro.study.benchmarks import load_performance
from repro.study.places import results_folder

CHEAP = tuple(run for run in RUNS if run.exhibit != "three_families")
"""Whose plan is soon made; that of all is made where the book is built."""


def test_the_base_of_cifar_by_hand() -> None:
    """200 epochs of 50,000 images, three passes of 555 million multiply-adds: 1.67e16."""
    macs = model_cost("tr18", None, 100, 32, 0).base_macs
    base = steps(default_spec("paper", "cifar100")).base
    assert base.work == 200 * 50_000 * 3 * macs == pytest.approx(1.67e16, rel=0.01)
    assert minutes(base.work) * share().value == pytest.approx(2 * 1.67e16 / 989.5e12 / 60, rel=0.01)


def test_experts_share_one_pass_of_the_trunk() -> None:
    spec = default_spec("paper", "cifar100").with_(num_experts=20)
    cost = model_cost("tr18", "tr18", 100, 32, 20)
    work = sum(expert.work for expert in steps(spec).experts)
    visits = 20 * 50_000 * (1 / 20 + 0.05 * 19 / 20)
    assert work == pytest.approx(200 * (50_000 * cost.trunk_macs + visits * 3 * cost.expert_macs))
    apart = spec.with_(trunk_batchnorm="training")  # every expert then has a trunk of its own
    work = sum(expert.work for expert in steps(apart).experts)
    assert work == pytest.approx(200 * visits * (cost.trunk_macs + 3 * cost.expert_macs))


def test_the_assumed_share_is_that_of_the_recorded_sitting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own work in its own seconds gives its minutes, so that the plan and the record cannot part."""
    sitting = load_performance(results_folder() / "performance", "one_sitting")
    assert sitting
    (macs,), (seconds,) = (sitting.tables[SITTING].column(name) for name in ("10¹⁵ MACs", "seconds"))
    assert minutes(1e15 * macs) == pytest.approx(seconds / 60, rel=0.01)
    assert new_work(RUNS[:1])[0] == pytest.approx(1e15 * macs, rel=0.01), "the first row is that sitting"
    monkeypatch.setenv("REPRO_RESULTS", str(tmp_path))
    assert share().value == pytest.approx(0.246, abs=0.001) and "no sitting is recorded" in share().source
    assert 420 * 312e12 * share().value == pytest.approx(32.3e15)


def test_the_table_has_a_row_with_scale_minutes_and_command_for_each_run() -> None:
    table, caption = plan_table(CHEAP).frame, plan_table(CHEAP).caption
    assert [run.scale for run in RUNS] == ["gpu"] * len(GPU) + ["paper"] * len(PAPER)
    assert list(table["scale"]) == [run.scale for run in CHEAP]
    assert list(table["command"]) == [run.command for run in CHEAP]
    assert all(table["expected"].str.fullmatch(r"[0-9.]+ (min|h)"))
    assert "that of the recorded sitting of table2_num_experts at gpu scale" in caption
    assert "32.3 PFLOP in 7.0 min on an A100" in caption


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run.scale}: {run.what}")
def test_its_one_command_is_taken_by_the_parser_and_means_the_run(run: Run) -> None:
    args = parser().parse_args(shlex.split(run.command.removeprefix("uv run repro ")))
    values = dict(args.parameters)
    asked = exhibit(run.exhibit).parameters(**values, root=UNTRAINED)  # check would plan it, too
    assert args.notebooks == [run.exhibit] and asked == run.parameters
    assert values["scale"] == run.scale and values["dataset"] == run.dataset


def test_what_several_runs_share_is_counted_once() -> None:
    everything = {step: step.work for run in CHEAP for step in run.steps()}
    assert sum(new_work(CHEAP)) == pytest.approx(sum(everything.values()))
    first, controls, seeds, *_ = new_work(CHEAP)[-len(PAPER) :]
    assert seeds == pytest.approx(2 * (first + controls)), "paper scale has none of gpu scale's"
    trained = [new for run, new in zip(CHEAP, new_work(CHEAP), strict=True) if run.what.endswith("all is trained")]
    assert len(trained) == 5 and not any(trained)


def test_the_small_networks_are_those_named_and_have_the_control_of_claim_v1() -> None:
    convnext, vit = (run for run in GPU if run.exhibit == "sparse_placement")
    for run, dims in ((convnext, "d = 64, 128, 256"), (vit, "d = 192")):
        parameters = run.parameters
        assert isinstance(parameters, Placement)
        model = parameters.spec("none", 0).model
        assert dims == f"d = {', '.join(map(str, model.shape.dims))}" and dims in run.what
        assert parameters.rows == ("none", "last-2", "none, as many parameters")
        assert parameters.spec("none", 0).recipe.epochs == 50
