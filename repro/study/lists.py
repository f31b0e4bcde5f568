"""Parameters that are lists: several values, or one text with commas between them (``-p seeds 0,1,2``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

T = TypeVar("T")


def _parts(value: Any) -> Sequence[Any]:
    """The values of a list or of a text, or the one value."""
    if isinstance(value, str):
        return [part.strip(" '\"") for part in value.strip("[]() ").split(",")]
    return value if isinstance(value, Sequence) else [value]


def _different(values: tuple[T, ...]) -> tuple[T, ...]:
    if not values or len(set(values)) < len(values):
        raise ValueError("should be one or more different values, with commas between them")
    return values


def chosen_of(known: Iterable[str], names: tuple[str, ...]) -> tuple[str, ...]:
    """``names``, each of which is one of those that are ``known``."""
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"there is no {unknown[0]!r}; choose of {', '.join(known)}")
    return names


def _joined(pairs: tuple[str, ...]) -> tuple[str, ...]:
    if not all(len(pair.split("-")) == 2 and all(pair.split("-")) for pair in pairs):
        raise ValueError("should be pairs written base-expert, such as tr10-tr10,tr18-tr10")
    return pairs


Several = Annotated[tuple[T, ...], BeforeValidator(_parts), AfterValidator(_different)]
Name = Annotated[str, Field(min_length=1)]
Numbers = Several[int]
Ascending = Annotated[Numbers, AfterValidator(lambda value: tuple(sorted(value)))]
Shares = Several[Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]]
Weights = Several[Annotated[float, Field(ge=0, allow_inf_nan=False)]]
Words = Several[Name]
WordsOrNone = Annotated[
    tuple[Name, ...],
    BeforeValidator(lambda value: _parts(value) if value else ()),
    AfterValidator(lambda names: names and _different(names)),
]
Pairs = Annotated[Words, AfterValidator(_joined)]
