"""One whole study at smoke scale: run, run again, stopped and resumed, experts apart."""

import shutil
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from repro.analysis.ensemblers import bagging
from repro.analysis.outputs import Outputs, accuracy
from repro.data.augment import Augmentation
from repro.families.single_gate import algorithm1
from repro.families.single_gate.algorithm1 import compute_outputs
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.em import posterior
from repro.families.single_gate.steps import steps
from repro.families.single_gate.study import Study
from repro.models.backbone import Head
from repro.study.contents import WEIGHTS
from repro.study.graph import Inputs
from repro.study.store import Store
from tests.stopping import Stop

CPU = torch.device("cpu")


def equal(a: Outputs, b: Outputs) -> bool:
    return all(torch.equal(value, getattr(b, name)) for name, value in vars(a).items())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def study(tiny: StudySpec, root: Path) -> Study:
    study = Study([tiny], root, CPU)
    study.run(tiny)
    return study


def test_outputs_have_the_shapes_they_say_and_are_better_than_chance(study: Study, tiny: StudySpec) -> None:
    outputs, metrics = study.outputs(tiny), study.gate_metrics(tiny)
    assert outputs.base_logits.shape == (200, 20)
    assert outputs.gate_probs.shape == (200, 3) and outputs.expert_logits.shape == (200, 3, 20)
    torch.testing.assert_close(outputs.gate_probs.sum(1), torch.ones(200))
    assert torch.equal(outputs.labels, torch.from_numpy(study.sources.images(tiny, "evaluation").labels))
    assert metrics["smallest_share"] > 0 and metrics["agreement"] > 90
    assert accuracy(bagging(outputs), outputs.labels) > 5  # percent, of 20 classes
    history = study.store.load(steps(tiny).base).history
    assert history[-1][0] < history[0][0]


@pytest.mark.parametrize("stop_after", [2, 4])
def test_stopped_half_way_and_resumed(
    study: Study, tiny: StudySpec, tmp_path: Path, stops: list[int], stop_after: int
) -> None:
    stops[1] = stop_after
    with pytest.raises(Stop):
        Study([tiny], tmp_path, CPU).run(tiny)
    done = [row["epochs_done"] for row in Store(tmp_path).half_done()]
    # the base alone; or, of three experts in one pass, two whose only epoch is on disk
    assert sorted(done) == ([stop_after] if stop_after < 3 else [0, 1, 1])
    stops[1] = 0
    assert equal(Study([tiny], tmp_path, CPU).run(tiny), study.outputs(tiny))
    assert stops[0] == 2 + 3  # each epoch of the base and of three experts once: nothing was trained again
    assert not list(Store(tmp_path).half_done())


def with_base_and_gate(tiny: StudySpec, root: Path, tmp_path: Path) -> Study:
    """The study in a store that holds only the base and the gate."""
    for kind in ("base", "gate"):
        shutil.copytree(root / "store" / kind, tmp_path / "store" / kind)
    return Study([tiny], tmp_path, CPU)


def test_experts_of_one_pass_are_the_experts_of_a_store_made_one_at_a_time(
    study: Study, tiny: StudySpec, root: Path, tmp_path: Path
) -> None:
    apart = with_base_and_gate(tiny, root, tmp_path)
    for made, k in enumerate((2, 0, 1), 1):
        apart.runner.load(steps(tiny).experts[k])
        assert len(list((tmp_path / "store" / "expert").glob("*"))) == made
    assert equal(apart.run(tiny), study.outputs(tiny))
    assert {p.name for p in (tmp_path / "store").glob("*/*")} <= {p.name for p in (root / "store").glob("*/*")}


def test_what_one_pass_trained_is_neither_built_nor_trained_again(
    tiny: StudySpec, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh, built = with_base_and_gate(tiny, root, tmp_path), list[int]()
    new = algorithm1.new_head

    def counted(spec: StudySpec, inputs: Inputs) -> Head:
        built.append(inputs.step.config["k"])
        return new(spec, inputs)

    monkeypatch.setattr(algorithm1, "new_head", counted)
    fresh.runner.run(steps(tiny).experts)
    assert built == [0, 1, 2]
    assert fresh.runner.summary().startswith("3 artifacts were made and 2 found")
    assert not list(Store(tmp_path).half_done()) and not list((tmp_path / "store" / "locks").glob("*"))


def test_a_base_made_again_in_another_precision_makes_all_that_rested_on_it_stale(
    tiny: StudySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained in fp32; the base is damaged, and the next run is in bf16."""
    spec = tiny.with_(stacking=False)
    monkeypatch.setattr("repro.training.device.bf16_is_fast", lambda device: False)
    before = Study([spec], tmp_path, CPU).run(spec)
    weights = Store(tmp_path).path(steps(spec).base) / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x55")
    monkeypatch.setattr("repro.training.device.bf16_is_fast", lambda device: True)
    again = Study([spec], tmp_path, CPU)
    after = again.run(spec)
    assert again.runner.summary().startswith("6 artifacts were made and 0 found") and not equal(after, before)
    said = capsys.readouterr().err
    assert "gate of 3, seed 0 is stale: the base that it was made from was made anew and has other weights" in said
    assert "predictions of 3 experts, seed 0 is stale" in said
    fresh = compute_outputs(again.moe(spec), again.sources.batches(spec, "evaluation", Augmentation()), CPU)
    assert equal(fresh, after), "the model in the store says what its stored predictions say"


def test_losses_are_those_of_the_training_images(study: Study, tiny: StudySpec) -> None:
    losses = study.losses(tiny)
    assert losses.base.shape == (400,) and losses.experts.shape == losses.gate_probs.shape == (400, 3)
    batch = next(iter(study.sources.batches(tiny, "train", Augmentation()).clean(16)))
    with torch.no_grad():
        out = study.moe(tiny)(batch.images)
    expected = F.cross_entropy(out.expert_logits[:, 2].float(), batch.labels, reduction="none")
    torch.testing.assert_close(losses.experts[:16, 2], expected, atol=0.2, rtol=0.1)  # may be of bf16
    torch.testing.assert_close(losses.gate_probs[:16], out.gate_probs.float(), atol=0.1, rtol=0.1)
    again = Study([tiny], study.root, CPU)
    assert torch.equal(again.losses(tiny).experts, losses.experts)
    assert "1 found" not in again.runner.summary().split(";")[1]


@pytest.mark.parametrize("level", ["per-class", "confusion"])
def test_by_class_every_image_of_a_class_has_the_same_expert(study: Study, tiny: StudySpec, level: str) -> None:
    spec = tiny.with_(routing={"level": level}, stacking=False)
    outputs = study.run(spec)
    expert_of, g0 = study.class_to_expert(spec), study.assignment(spec)
    labels = torch.from_numpy(study.sources.images(spec, "train").labels)
    assert torch.equal(g0.argmax(1), expert_of[labels]) and torch.equal(g0.sum(1), torch.ones(400))
    assert expert_of.unique().tolist() == [0, 1, 2]
    if level == "per-class":
        assert sorted(torch.bincount(expert_of).tolist()) == [6, 7, 7]
    assert outputs.expert_logits.shape == (200, 3, 20)
    assert steps(spec).base == steps(tiny).base and not equal(outputs, study.outputs(tiny))


def test_an_e_step_goes_on_from_algorithm_1(study: Study, tiny: StudySpec, root: Path) -> None:
    """N_E = 0 is Algorithm 1, found in the store; the step after it takes its losses, its gate and its experts."""
    spec = tiny.with_(em_steps=1, stacking=False)
    em = Study([spec.with_(em_steps=0), spec], root, CPU)
    assert equal(em.run(spec.with_(em_steps=0)), study.outputs(tiny))
    assert em.runner.summary().startswith("all ")
    after = em.run(spec)
    losses = em.losses(tiny)
    torch.testing.assert_close(em.assignment(spec), posterior(losses.gate_probs, losses.experts))
    assert not equal(after, study.outputs(tiny))
    assert Store(root).load(steps(spec).gate).metrics["agreement"] > 50


def test_validation_reports_on_held_out_training_images(tiny: StudySpec, tmp_path: Path) -> None:
    spec = tiny.with_(evaluate="validation")
    study = Study([spec], tmp_path, CPU)
    fit, held = study.sources.images(spec, "train"), study.sources.images(spec, "evaluation")
    assert (fit.split, held.split, len(fit), len(held)) == ("fit", "validation", 360, 40)
