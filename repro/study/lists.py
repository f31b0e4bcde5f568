"""Parameters that are lists: several values, or one text with commas between them (``-p seeds 0,1,2``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator

N = TypeVar("N", int, float)


def _parts(value: Any) -> Sequence[Any]:
    if isinstance(value, str):
        return value.strip("[]() ").split(",")
    return value if isinstance(value, Sequence) else [value]


def _different(
    value: Any, kind: Callable[[Any], N], example: str, what: str, right: Callable[[N], bool] = lambda each: True
) -> tuple[N, ...]:
    """One or more different numbers of a kind, all of them right; :class:`ValueError` says what they should be."""
    try:
        found = tuple(kind(part) for part in _parts(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"should be {example}") from error
    if not found or len(set(found)) < len(found) or not all(map(right, found)):
        raise ValueError(f"should be one or more different {what}")
    return found


def numbers(value: Any) -> tuple[int, ...]:
    """A number, a list of numbers, or both as text (``-p seeds 0,1,2``); 1.5 is none."""
    return _different(value, lambda part: int(str(part)), "whole numbers, such as 0,1,2", "numbers")


def shares(value: Any) -> tuple[float, ...]:
    """One or more numbers between 0 and 1."""
    example = "numbers between 0 and 1, such as 0.75,0.5"
    return _different(value, float, example, "numbers between 0 and 1", lambda share: 0 <= share <= 1)


def weights(value: Any) -> tuple[float, ...]:
    """One or more numbers that are not negative."""
    example = "numbers, such as 0.5,1,2"
    return _different(value, float, example, "numbers that are not negative", lambda weight: 0 <= weight < inf)


def words(value: Any) -> tuple[str, ...]:
    """One or more names (``-p networks resnet18,resnet34``)."""
    parts = _parts(value)
    if not all(isinstance(part, str) for part in parts):
        raise ValueError("should be names, with commas between them")
    names = tuple(part.strip(" '\"") for part in parts)
    if not all(names) or len(set(names)) < len(names) or not names:
        raise ValueError("should be one or more different names, with commas between them")
    return names


def chosen_of(known: Iterable[str], names: tuple[str, ...]) -> tuple[str, ...]:
    """``names``, each of which is one of those that are ``known``."""
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"there is no {unknown[0]!r}; choose of {', '.join(known)}")
    return names


def pairs(value: Any) -> tuple[str, ...]:
    """One or more pairs ``base-expert`` (``-p pairs tr10-tr10,tr18-tr10``)."""
    found = words(value)
    if not all(len(pair.split("-")) == 2 and all(pair.split("-")) for pair in found):
        raise ValueError("should be pairs written base-expert, such as tr10-tr10,tr18-tr10")
    return found


Numbers = Annotated[tuple[int, ...], BeforeValidator(numbers)]
Ascending = Annotated[Numbers, AfterValidator(lambda value: tuple(sorted(value)))]
Shares = Annotated[tuple[float, ...], BeforeValidator(shares)]
Weights = Annotated[tuple[float, ...], BeforeValidator(weights)]
Words = Annotated[tuple[str, ...], BeforeValidator(words)]
WordsOrNone = Annotated[tuple[str, ...], BeforeValidator(lambda value: words(value) if value else ())]
Pairs = Annotated[tuple[str, ...], BeforeValidator(pairs)]
