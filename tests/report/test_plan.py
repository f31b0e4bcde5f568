"""The plan of runs: work by hand, each artifact once, and what is recorded beside what was expected."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from repro.families.single_gate.scales import default_spec
from repro.families.single_gate.steps import goals, steps
from repro.models.cost import model_cost
from repro.report import plan
from repro.report.plan import PEAK, RUNS, SHARE, Run, goals_table, measured, minutes, plan_table, rows, share_of_peak
from repro.study.graph import ordered
from repro.study.parameters import results_folder
from repro.study.results import StudyResult, load_results
from tests.report.test_book import built


def test_the_base_of_cifar_by_hand() -> None:
    """200 epochs of 50,000 images, three passes of 555 million multiply-adds: 1.67e16."""
    macs = model_cost("tr18", None, 100, 32, 0).base_macs
    base = steps(default_spec("paper", "cifar100")).base
    assert base.work == 200 * 50_000 * 3 * macs == pytest.approx(1.67e16, rel=0.01)
    assert minutes(base.work, share=1.0) == pytest.approx(2 * 1.67e16 / 989.5e12 / 60, rel=0.01)
    assert share_of_peak(base.work, 3.0) == pytest.approx(0.187, rel=0.01)


def test_experts_share_one_pass_of_the_trunk() -> None:
    spec = default_spec("paper", "cifar100").with_(num_experts=20)
    cost = model_cost("tr18", "tr18", 100, 32, 20)
    work = sum(expert.work for expert in steps(spec).experts)
    visits = 20 * 50_000 * (1 / 20 + 0.05 * 19 / 20)
    assert work == pytest.approx(200 * (50_000 * cost.trunk_macs + visits * 3 * cost.expert_macs))
    apart = spec.with_(trunk_batchnorm="training")  # every expert then has a trunk of its own
    work = sum(expert.work for expert in steps(apart).experts)
    assert work == pytest.approx(200 * visits * (cost.trunk_macs + 3 * cost.expert_macs))


def test_the_assumed_share_is_that_of_the_cited_training() -> None:
    assert pytest.approx(0.246, abs=0.001) == SHARE
    assert 420 * 312e12 * SHARE == pytest.approx(32.3e15)


def test_every_run_is_one_that_can_be_asked_for() -> None:
    for run in RUNS:
        assert run.command.startswith(f"uv run repro run {run.exhibit} -p scale paper -p dataset {run.dataset}")
        assert run.steps()
    assert [run.dataset for run in RUNS] == sorted(run.dataset for run in RUNS), "CIFAR-100 first"


def test_what_several_runs_share_is_counted_once() -> None:
    found = list(rows())
    everything = {step: step.work for run in RUNS for step in run.steps()}
    assert sum(row.new for row in found) == pytest.approx(sum(everything.values()))
    assert found[0].new == found[0].whole and found[2].new == pytest.approx(2 * found[1].whole)
    assert all(row.new == 0 for row in found if row.run.what.endswith("all is trained"))


def test_all_that_table_2_needs_and_nothing_else() -> None:
    specs = [default_spec("paper", "cifar100").with_(num_experts=k) for k in (1, 5, 10, 20)]
    assert set(RUNS[0].steps()) == set(ordered(step for goal in goals(specs) for step in goal.steps))


def record(folder: Path, run: Run, seconds: float, seeds: list[int] | None = None) -> StudyResult:
    """A record of a run, made from another one."""
    result = next(iter(load_results(results_folder(), "table2_num_experts").values()))
    about = result.provenance.model_copy(update={"seconds": seconds, "command": run.command.removeprefix("uv run ")})
    made = result.model_copy(
        update={
            "study": run.exhibit, "dataset": run.dataset, "scale": "paper", "provenance": about,
            "seeds": seeds or list(run.parameters.seeds),
        }
    )  # fmt: skip
    made.save(folder)
    return made


def test_a_recorded_run_stands_beside_what_was_expected(tmp_path: Path) -> None:
    (before,) = {tuple(plan_table(tmp_path).frame["measured"])}
    assert set(before) == {"not run"}
    row = next(rows())
    record(tmp_path, RUNS[0], seconds=60 * minutes(row.whole, share=0.5))
    table = plan_table(tmp_path).frame
    assert table["measured"].iloc[0] == f"{minutes(row.whole, share=0.5):.1f} min"
    assert table["share of peak"].iloc[0] == "50 %"
    assert list(table["measured"].iloc[1:]) == ["not run"] * (len(RUNS) - 1)


def test_a_record_of_other_seeds_is_another_run(tmp_path: Path) -> None:
    record(tmp_path, RUNS[1], seconds=600)
    assert measured(RUNS[0], tmp_path) is None and measured(RUNS[1], tmp_path) == 10
    record(tmp_path, RUNS[0], seconds=600, seeds=[1])
    assert measured(RUNS[0], tmp_path) is None


def test_goals_say_what_share_of_the_peak_they_take() -> None:
    table = goals_table().frame
    assert list(table["goal"]) == ["3.0 min", "10.0 min", "20.0 min"]
    assert table["share of peak"].iloc[0] == "19 %"
    assert plan.FLOPS == 2 and 9e14 < PEAK < 1e15


def test_the_page_has_the_goals_the_runs_and_their_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPRO_RESULTS", str(tmp_path / "results"))
    page, warnings = built(tmp_path, "```{plan-goals}\n```\n\n```{plan-of-runs}\n```")
    assert warnings == ""
    for shown in ("tr18 on CIFAR-100, 200 epochs", "not run", "32.3 PFLOP in 7.0 min on an A100"):
        assert shown in page
    text = re.sub("<[^>]+>", "", page)
    assert all(run.command in text for run in RUNS)
