"""One whole study at smoke scale: what it says, stopped and resumed, by classes, with an E-step."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from repro.analysis.ensemblers import bagging
from repro.analysis.outputs import Outputs, accuracy
from repro.data.augment import Augmentation
from repro.families.single_gate.algorithm1 import compute_outputs
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.routing import posterior
from repro.families.single_gate.steps import steps
from repro.families.single_gate.study import Study
from repro.study.store import Store
from tests.stopping import Stop

CPU = torch.device("cpu")


def equal(a: Outputs, b: Outputs) -> bool:
    return all(torch.equal(value, getattr(b, name)) for name, value in vars(a).items())


def test_outputs_have_the_shapes_they_say_and_are_better_than_chance(study: Study, tiny: StudySpec) -> None:
    outputs, metrics = study.outputs(tiny), study.gate_metrics(tiny)
    assert outputs.gate_probs.shape == (200, 3) and outputs.expert_logits.shape == (200, 3, 20)
    torch.testing.assert_close(outputs.gate_probs.sum(1), torch.ones(200))
    assert torch.equal(outputs.labels, torch.from_numpy(study.sources.images(tiny, "evaluation").labels))
    assert metrics["smallest_share"] > 0 and metrics["agreement"] > 90
    assert accuracy(bagging(outputs), outputs.labels) > 5  # percent, of 20 classes
    fresh = compute_outputs(study.moe(tiny), study.sources.batches(tiny, "evaluation", Augmentation()), CPU)
    for name, stored in vars(outputs).items():  # the model in the store says what its stored predictions say
        torch.testing.assert_close(getattr(fresh, name), stored, rtol=1e-4, atol=1e-4)
    history = study.store.load(steps(tiny).base).history
    assert history[-1][0] < history[0][0]
    held_out = tiny.with_(evaluate="validation")
    fit, held = (study.sources.images(held_out, use) for use in ("train", "evaluation"))
    assert (fit.split, held.split, len(fit), len(held)) == ("fit", "validation", 360, 40)


def test_stopped_half_way_and_resumed(study: Study, tiny: StudySpec, tmp_path: Path, stops: list[int]) -> None:
    stops[1] = 4
    with pytest.raises(Stop):
        Study([tiny], tmp_path, CPU).run(tiny)
    done = [row["epochs_done"] for row in Store(tmp_path).half_done()]
    assert sorted(done) == [0, 1, 1], "of three experts in one pass, two whose only epoch is on disk"
    stops[1] = 0
    assert equal(Study([tiny], tmp_path, CPU).run(tiny), study.outputs(tiny))
    assert stops[0] == 2 + 3  # each epoch of the base and of three experts once: nothing was trained again
    assert not list(Store(tmp_path).half_done())


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
    sizes = sorted(torch.bincount(expert_of).tolist())
    assert sizes == [6, 7, 7] if level == "per-class" else len(sizes) == 3
    assert steps(spec).base == steps(tiny).base and not equal(outputs, study.outputs(tiny))


def test_an_e_step_goes_on_from_algorithm_1(study: Study, tiny: StudySpec) -> None:
    """N_E = 0 is Algorithm 1, found in the store; the step after it takes its losses, its gate and its experts."""
    spec = tiny.with_(em_steps=1, stacking=False)
    em = Study([spec.with_(em_steps=0), spec], study.root, CPU)
    assert equal(em.run(spec.with_(em_steps=0)), study.outputs(tiny))
    assert em.runner.summary().startswith("all ")
    after, losses = em.run(spec), em.losses(tiny)
    torch.testing.assert_close(em.assignment(spec), posterior(losses.gate_probs, losses.experts))
    assert not equal(after, study.outputs(tiny))
    assert Store(study.root).load(steps(spec).gate).metrics["agreement"] > 50
