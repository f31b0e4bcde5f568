"""Walks over steps: keys, order, passes, and how long planning takes."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from repro.exhibits import exhibits
from repro.report.exhibit import Exhibit
from repro.study.graph import Context, Step, build, levels, ordered, passes
from tests.study.toy import context, goal


def step(kind: str = "a", config: Mapping[str, Any] | None = None, *needs: Step, **named: Any) -> Step:
    return Step(kind, config or {}, lambda context, inputs: None, needs, **named)


def test_the_key_is_of_kind_config_and_parents_and_of_nothing_else() -> None:
    parent, other = step("p", {"x": 1}), step("p", {"x": 2})
    one = step("a", {"n": 1, "revision": 1}, parent, label="one", work=3.0, epochs=2, together="all")
    assert one.key == step("a", {"revision": 1, "n": 1}, step("p", {"x": 1})).key
    different = [step("b", {"n": 1, "revision": 1}, parent), step("a", {"n": 2, "revision": 1}, parent)]
    different += [step("a", {"n": 1, "revision": 2}, parent), step("a", {"n": 1, "revision": 1}, other)]
    different += [step("a", {"n": 1, "revision": 1}, parent, other), step("a", {"n": 1, "revision": 1}, other, parent)]
    assert len({one, *different}) == 7 and one == step("a", {"n": 1, "revision": 1}, parent)


def test_each_once_and_parents_first() -> None:
    both = [*goal('{"experts": 3}').steps, *goal('{"experts": 2}').steps]
    steps = ordered(both)
    assert [s.kind for s in steps] == ["base", "gate", "gate", *["expert"] * 5, "predictions", "predictions"]
    for at, each in enumerate(steps):
        assert set(each.needs) <= set(steps[:at])
    assert sum(len(level) for level in levels(both)) == len(set(steps)) == len(steps)
    assert ordered([]) == []


def test_steps_made_together_are_one_pass_and_never_with_those_they_rest_on() -> None:
    assert [[s.label for s in group] for group in passes(goal('{"experts": 2}').steps)] == [
        ["base 0"], ["gate of 2, 0"], ["expert 0 of 2, 0", "expert 1 of 2, 0"], ["predictions of 2, 0"],
    ]  # fmt: skip
    first = step("expert", {"round": 0}, together="experts")
    again = step("expert", {"round": 1}, first, together="experts")
    assert passes([again]) == [[first], [again]]


@pytest.mark.parametrize("exhibit", exhibits(), ids=lambda exhibit: exhibit.name)
def test_a_worker_builds_the_same_steps_from_plain_text(exhibit: Exhibit) -> None:
    for asked in exhibit.parameters.check(scale="smoke").goals():
        assert build(asked.builder, asked.config).steps == asked.steps


def test_planning_is_linear(tmp_path: Path) -> None:
    """Forty layers of twenty steps, each on all twenty before: by paths there would be 20 to the 40th."""
    began = time.perf_counter()
    layer: tuple[Step, ...] = ()
    for depth in range(40):
        layer = tuple(step("a", {"depth": depth, "k": k}, *layer) for k in range(20))
    assert len(ordered(layer)) == 800 and len({each.key for each in layer}) == 20
    assert time.perf_counter() - began < 1.0


def test_what_a_context_remembers_is_one_thing(tmp_path: Path) -> None:
    remembering: Context = context(tmp_path)
    calls: list[int] = []

    def make() -> int:
        calls.append(1)
        return len(calls)

    assert [remembering.once(name, make) for name in ("a", "a", "b", "a")] == [1, 1, 2, 3]
