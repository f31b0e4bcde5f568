"""Specs: what is wrong is said before any work; artifacts are keyed by what they depend on and nothing else."""

from typing import Any

import pytest

from repro.errors import SpecError
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.scales import SCALES, default_spec
from repro.families.single_gate.steps import goal, steps
from repro.study.graph import passes
from repro.training.recipe import Recipe


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"num_expert": 3}, "there is no field 'num_expert'"),
        ({"gamma": 1.5}, "gamma: .*less than or equal to 1"),
        ({"dataset": "cifar"}, "dataset: .*'cifar100'.*not 'cifar'"),
        ({"sharing": "both"}, "sharing: .*'sampling' or 'reweighting'"),
        ({"routing": {"similarity": "cosine"}}, "routing.similarity: .*'hard' or 'soft'"),
        ({"base": "tr11"}, "unknown backbone 'tr11'; choose one of tr10"),
        ({"base": "tr50"}, "do not join"),
        ({"num_train": 8001}, "num_train: modes has 8000 training images; ask for as many at the most"),
    ],
)
def test_what_is_wrong_is_named_with_the_choices(tiny: StudySpec, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        tiny.with_(**changes)
    assert all(default_spec(scale, dataset).base_recipe.source for scale, sets in SCALES.items() for dataset in sets)


def keys(spec: StudySpec) -> dict[str, str]:
    of = steps(spec)
    return {step.kind: step.key for step in (of.base, of.gate, of.experts[0], of.ensemblers[0], of.predictions)}


EXPERT = "expert", "ensembler", "predictions"
GATE = "gate", *EXPERT
BASE = "base", *GATE


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"seed": 1}, BASE), ({"width": 0.125}, BASE), ({"num_train": 300}, BASE), ({"evaluate": "validation"}, BASE),
        ({"num_experts": 2}, GATE), ({"routing": {"normalize": True}}, GATE),
        ({"routing": {"level": "per-class"}}, GATE), ({"em_steps": 1}, GATE),
        ({"trunk_batchnorm": "training"}, EXPERT), ({"gamma": 0.1}, EXPERT), ({"sharing": "reweighting"}, EXPERT),
        ({"expert_recipe": Recipe(source="a test", epochs=9, batch_size=8, learning_rate=0.1)}, EXPERT),
        ({"expert": "tr18"}, EXPERT), ({"num_test": 150}, ("predictions",)), ({"stacking": False}, ()),
    ],
)  # fmt: skip
def test_a_key_changes_with_what_it_depends_on_alone(
    tiny: StudySpec, changes: dict[str, Any], changed: tuple[str, ...]
) -> None:
    before, after = keys(tiny), keys(tiny.with_(**changes))
    assert {kind for kind in before if before[kind] != after[kind]} == set(changed)
    renamed = tiny.with_(base_recipe={**tiny.base_recipe.model_dump(), "source": "the same, told differently"})
    assert keys(renamed) == before


def test_an_e_step_rests_on_the_losses_and_experts_before_it(tiny: StudySpec) -> None:
    one, two = tiny.with_(em_steps=1), tiny.with_(em_steps=2)
    assert one.before_em_step() == tiny and two.before_em_step() == one
    assert steps(one).gate.needs == (steps(tiny).base, steps(tiny).losses)
    assert steps(two).experts[1].needs[2] == steps(one).experts[1]
    assert len({steps(spec).gate for spec in (tiny, one, two)}) == 3
    assert steps(one).losses != steps(tiny).losses and steps(one).base == steps(tiny).base
    assert steps(tiny).losses == steps(tiny.with_(num_test=150)).losses
    assert steps(tiny).losses != steps(tiny.with_(gamma=0.1)).losses


def test_experts_are_made_in_one_pass_unless_the_trunk_normalises_by_batches(tiny: StudySpec) -> None:
    apart = tiny.with_(trunk_batchnorm="training")
    assert [len(group) for group in passes(goal(tiny).steps)] == [1, 1, 3, 1, 1, 1, 1]
    assert [len(group) for group in passes(goal(apart).steps)] == [1] * 9
    assert len({step.together for step in steps(tiny).experts}) == 1
    assert steps(tiny).experts[0].together != steps(tiny.with_(gamma=0.2)).experts[0].together
