"""Hundreds of wrong specs and notebook parameters: each ends in a sentence that names the field, before any work."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.errors import SpecError
from repro.exhibits.table2_num_experts import Parameters
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.scales import default_spec

# No name and no number ends so: without it a draw may be right, since hypothesis also tries words of the code itself.
TEXT = st.text(max_size=11).map(lambda text: text + "?")
# Field -> values that it cannot have.
WRONG_SPECS: dict[str, st.SearchStrategy[Any]] = {
    "dataset": TEXT,
    "image_size": st.one_of(st.integers(max_value=15), TEXT, st.none()),
    "num_train": TEXT,
    "evaluate": TEXT,
    "base": TEXT,
    "expert": TEXT,
    "width": st.one_of(st.floats(max_value=0), st.floats(min_value=4.1), st.just(float("nan")), st.none()),
    "num_experts": st.one_of(st.integers(max_value=0), st.integers(min_value=1025), st.floats(0.1, 0.9), st.none()),
    "gamma": st.one_of(st.floats(max_value=-1e-3), st.floats(min_value=1.001), st.just(float("nan"))),
    "sharing": st.one_of(TEXT, st.none()),
    "em_steps": st.one_of(st.integers(max_value=-1), st.integers(min_value=11)),
    "seed": st.one_of(st.integers(max_value=-1), st.none(), st.lists(st.integers())),
    "base_recipe": st.one_of(TEXT, st.none(), st.dictionaries(TEXT, st.integers())),
    "routing": st.one_of(TEXT, st.dictionaries(TEXT, st.integers(), min_size=1)),
}
WRONG_PARAMETERS: dict[str, st.SearchStrategy[Any]] = {
    "scale": st.one_of(TEXT, st.none(), st.integers()),
    "dataset": st.one_of(TEXT, st.none()),
    "seeds": st.one_of(st.text("ab ;-", max_size=5), st.just("1,1"), st.integers(max_value=-1), st.just(float("inf"))),
    "experts": st.one_of(st.integers(max_value=0), st.just("5,,6"), st.none(), st.just([])),
    "device": st.one_of(st.integers(), st.none()),
    "executor": st.one_of(TEXT, st.integers(), st.none()),
    "recorded": st.one_of(st.text("xyz", min_size=2), st.none(), st.floats(2, 3)),
}


def pairs(wrong: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[tuple[str, Any]]:
    return st.sampled_from(sorted(wrong)).flatmap(lambda name: st.tuples(st.just(name), wrong[name]))


# A field's own name, or the name of what it decides, in the sentence.
ALSO = {"base": "backbone", "expert": "backbone", "seeds": "seed", "experts": "num_experts", "num_train": "num_train"}


@settings(max_examples=300, deadline=None)
@given(pairs(WRONG_SPECS))
def test_wrong_specs(change: tuple[str, Any]) -> None:
    name, value = change
    with pytest.raises(SpecError) as error:
        default_spec("smoke", "modes").with_(**{name: value})
    assert name in str(error.value) or ALSO.get(name, name) in str(error.value)


@settings(max_examples=300, deadline=None)
@given(pairs(WRONG_PARAMETERS))
def test_wrong_notebook_parameters(change: tuple[str, Any]) -> None:
    name, value = change
    with pytest.raises(SpecError) as error:
        Parameters.check(**{"scale": "smoke", name: value})
    assert name in str(error.value) or ALSO.get(name, name) in str(error.value)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 1024), st.floats(0, 1), st.integers(0, 2**40))
def test_right_ones_are_taken(experts: int, gamma: float, seed: int) -> None:
    spec = default_spec("smoke", "modes").with_(num_experts=experts, gamma=gamma, seed=seed)
    assert isinstance(spec, StudySpec) and (spec.num_experts, spec.gamma, spec.seed) == (experts, gamma, seed)
