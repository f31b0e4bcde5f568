"""Where the time goes: calls are timed with and without what is timed inside them, and what is timed is still there."""

import json
from collections.abc import Callable
from pkgutil import resolve_name

import pytest

from benchmarks import time_to_table


def outer(times: int) -> None:
    for _ in range(times):
        inner()


def inner() -> None:
    pass


def test_a_call_is_timed_with_and_without_what_is_timed_inside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))  # a second at each look
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    here: dict[str, Callable[..., str]] = {
        f"{__name__}.outer": lambda times: f"outer: {times}",
        f"{__name__}.inner": lambda: "inner",
    }
    with time_to_table.watched(here) as spent:
        outer(2)
    assert spent == {"inner": (2, 2, 2), "outer: 2": (1, 5, 3)}
    inner()
    assert spent["inner"].calls == 2, "watched no more"
    parts, notebooks = time_to_table.spent_on_book(10, f"the book is there\n{json.dumps([spent, 6])}\n")
    assert parts.rows == [["imports", None, 4, 4, 0.4], ["outer", 1, 5, 3, 0.3], ["inner", 2, 2, 2, 0.2],
                          ["the rest", None, 1, 1, 0.1]]  # fmt: skip
    assert notebooks.rows == [["2", 1, 5, 3]]


@pytest.mark.parametrize("address", time_to_table.PARTS)
def test_what_is_timed_of_the_book_is_there(address: str) -> None:
    owner, _, name = address.rpartition(".")
    assert callable(getattr(resolve_name(owner), name))


def test_steps_of_ci_are_read_as_they_are_printed() -> None:
    printed = "== tests\n 3 s  no step\n\n== seconds\n  12 s  ruff\n 210 s  tests\n 222 s  in all\n5 passed in 3 s\n"
    assert time_to_table.steps_of_ci(printed).rows == [["ruff", 12], ["tests", 210], ["in all", 222]]
