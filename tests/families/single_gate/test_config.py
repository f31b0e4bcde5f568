"""Specs: what is wrong is said before any work; artifacts are keyed by what they depend on and nothing else."""

from typing import Any

import pytest

from repro.errors import SpecError
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.scales import SCALES, default_spec
from repro.families.single_gate.steps import goal, steps
from repro.study.graph import passes


@pytest.mark.parametrize(("scale", "dataset"), [(scale, name) for scale, sets in SCALES.items() for name in sets])
def test_every_recipe_of_every_scale_is_valid(scale: str, dataset: str) -> None:
    spec = default_spec(scale, dataset)
    assert spec.dataset == dataset and spec.base_recipe.source and spec.num_experts == 1


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
        ({"num_train": 0}, "num_train: .*greater than or equal to 1, not 0"),
        ({"num_train": 8001}, "num_train: modes has 8000 training images; ask for as many at the most"),
    ],
)
def test_what_is_wrong_is_named_with_the_choices(tiny: StudySpec, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        tiny.with_(**changes)


def keys(spec: StudySpec) -> dict[str, str]:
    of = steps(spec)
    return {step.kind: step.key for step in (of.base, of.gate, of.experts[0], of.ensemblers[0], of.predictions)}


BASE, GATE, EXPERT = (
    ("base", "gate", "expert", "ensembler", "predictions"),
    ("gate", "expert", "ensembler", "predictions"),
    ("expert", "ensembler", "predictions"),
)


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"seed": 1}, BASE),
        ({"width": 0.125}, BASE),
        ({"num_train": 300}, BASE),
        ({"evaluate": "validation"}, BASE),
        ({"num_experts": 2}, GATE),
        ({"routing": {"normalize": True}}, GATE),
        ({"routing": {"level": "per-class"}}, GATE),
        ({"em_steps": 1}, GATE),
        ({"trunk_batchnorm": "training"}, EXPERT),
        ({"gamma": 0.1}, EXPERT),
        ({"sharing": "reweighting"}, EXPERT),
        ({"expert": "tr18"}, EXPERT),
        ({"num_test": 150}, ("predictions",)),
        ({"stacking": False}, ()),
    ],
)
def test_a_key_changes_with_what_it_depends_on_alone(
    tiny: StudySpec, changes: dict[str, Any], changed: tuple[str, ...]
) -> None:
    before, after = keys(tiny), keys(tiny.with_(**changes))
    assert {kind for kind in before if before[kind] != after[kind]} == set(changed)


def test_recipes_belong_to_their_own_kind(tiny: StudySpec) -> None:
    before = keys(tiny)
    longer = tiny.with_(expert_recipe={**tiny.expert_recipe.model_dump(), "epochs": 9})
    assert {k for k, v in keys(longer).items() if v != before[k]} == set(EXPERT)
    renamed = tiny.with_(base_recipe={**tiny.base_recipe.model_dump(), "source": "the same, told differently"})
    assert keys(renamed) == before


def test_an_e_step_rests_on_the_losses_and_experts_before_it(tiny: StudySpec) -> None:
    one, two = tiny.with_(em_steps=1), tiny.with_(em_steps=2)
    assert one.before_em_step() == tiny and two.before_em_step() == one
    assert steps(one).gate.needs == (steps(tiny).base, steps(tiny).losses)
    assert steps(two).experts[1].needs[2] == steps(one).experts[1]
    assert len({steps(spec).gate for spec in (tiny, one, two)}) == 3
    assert steps(one).losses != steps(tiny).losses and steps(one).base == steps(tiny).base


def test_losses_depend_on_the_model_and_not_on_the_test_set(tiny: StudySpec) -> None:
    assert steps(tiny).losses == steps(tiny.with_(num_test=150)).losses
    assert steps(tiny).losses != steps(tiny.with_(gamma=0.1)).losses


def test_experts_are_made_in_one_pass_unless_the_trunk_normalises_by_batches(tiny: StudySpec) -> None:
    apart = tiny.with_(trunk_batchnorm="training")
    assert [len(group) for group in passes(goal(tiny).steps)] == [1, 1, 3, 1, 1, 1, 1]
    assert [len(group) for group in passes(goal(apart).steps)] == [1] * 9
    assert len({step.together for step in steps(tiny).experts}) == 1
    assert steps(tiny).experts[0].together != steps(tiny.with_(gamma=0.2)).experts[0].together
