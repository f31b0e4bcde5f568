"""Parameters that are lists: several values, or one text with commas between them (``-p seeds 0,1,2``)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator


def _several(kind: Callable[[Any], Any], what: str, or_none: bool = False) -> BeforeValidator:
    """One or more different values of a kind; ``or_none``: or nothing at all. ``what``: what they should be."""

    def check(value: Any) -> tuple[Any, ...]:
        if or_none and not value:
            return ()
        parts = value.strip("[]() ").split(",") if isinstance(value, str) else value
        try:
            values = tuple(kind(part) for part in (parts if isinstance(parts, Sequence) else [parts]))
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"should be one or more different {what}") from error
        if not values or len(set(values)) < len(values):
            raise ValueError(f"should be one or more different {what}")
        return values

    return BeforeValidator(check)


def _weight(part: Any) -> float:
    """A finite number from 0."""
    if not 0 <= (value := float(part)) < math.inf:
        raise ValueError
    return value


def _name(part: Any, pattern: str = ".+") -> str:
    """A name, without what a list of names has around it."""
    if not re.fullmatch(pattern, name := str.strip(part, " '\"")):
        raise ValueError
    return name


def chosen_of(known: Iterable[str], names: tuple[str, ...]) -> tuple[str, ...]:
    """``names``, each of which is one of those that are ``known``."""
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"there is no {unknown[0]!r}; choose of {', '.join(known)}")
    return names


def all_or_chosen(known: Iterable[str], names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of ``names``; every one that is ``known`` where they are ``all``, or none is named."""
    return chosen_of(known, () if names == ("all",) else names) or tuple(known)


def in_a_ring(seeds: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of seeds: each with the next, the last with the first; of two there is one pair, of one none."""
    return list(zip(seeds, [*seeds[1:], *seeds[: len(seeds) > 2]], strict=False))


_NAMES = "names, with commas between them"

Numbers = Annotated[tuple[int, ...], _several(lambda part: int(str(part)), "whole numbers, such as 0,1,2")]
Ascending = Annotated[Numbers, AfterValidator(lambda value: tuple(sorted(value)))]
Weights = Annotated[tuple[float, ...], _several(_weight, "numbers from 0, such as 0.5,1,2")]
Names = Annotated[tuple[str, ...], _several(_name, _NAMES)]
NamesOrNone = Annotated[tuple[str, ...], _several(_name, _NAMES, or_none=True)]
Pairs = Annotated[
    tuple[str, ...],
    _several(lambda part: _name(part, "[^-]+-[^-]+"), "pairs written base-expert, such as tr10-tr10,tr18-tr10"),
]
