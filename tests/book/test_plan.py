"""The plan of runs: work by hand, and each artifact once."""

import pytest

from repro.book.plan import RUNS, SHARE, minutes, new_work
from repro.families.single_gate.scales import default_spec
from repro.families.single_gate.steps import steps
from repro.models.cost import model_cost


def test_the_base_of_cifar_by_hand() -> None:
    """200 epochs of 50,000 images, three passes of 555 million multiply-adds: 1.67e16."""
    macs = model_cost("tr18", None, 100, 32, 0).base_macs
    base = steps(default_spec("paper", "cifar100")).base
    assert base.work == 200 * 50_000 * 3 * macs == pytest.approx(1.67e16, rel=0.01)
    assert minutes(base.work) * SHARE == pytest.approx(2 * 1.67e16 / 989.5e12 / 60, rel=0.01)


def test_experts_share_one_pass_of_the_trunk() -> None:
    spec = default_spec("paper", "cifar100").with_(num_experts=20)
    cost = model_cost("tr18", "tr18", 100, 32, 20)
    work = sum(expert.work for expert in steps(spec).experts)
    visits = 20 * 50_000 * (1 / 20 + 0.05 * 19 / 20)
    assert work == pytest.approx(200 * (50_000 * cost.trunk_macs + visits * 3 * cost.expert_macs))
    apart = spec.with_(trunk_batchnorm="training")  # every expert then has a trunk of its own
    work = sum(expert.work for expert in steps(apart).experts)
    assert work == pytest.approx(200 * visits * (cost.trunk_macs + 3 * cost.expert_macs))


def test_what_several_runs_share_is_counted_once() -> None:
    work = list(new_work())
    everything = {step: step.work for run in RUNS for step in run.steps()}
    assert sum(work) == pytest.approx(sum(everything.values()))
    assert work[2] == pytest.approx(2 * (work[0] + work[1]))
    assert all(new == 0 for run, new in zip(RUNS, work, strict=True) if run.what.endswith("all is trained"))
