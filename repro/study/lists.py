"""Parameters that are lists: several values, or one text with commas between them (``-p seeds 0,1,2``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field


def _split(value: Any) -> Sequence[Any]:
    """The values of a text, without what a list has around it; one value is a list, too, and nothing an empty one."""
    if isinstance(value, str):
        value = [part.strip(" '\"") for part in value.strip("[]() ").split(",")] if value else []
    return value if isinstance(value, Sequence) else [] if value is None else [value]


def _different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("should be different values, with commas between them")
    return values


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


_LIST, _DIFFERENT, _SOME = BeforeValidator(_split), AfterValidator(_different), Field(min_length=1)
_Share = Annotated[float, Field(ge=0, le=1)]
_Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Name = Annotated[str, Field(min_length=1)]
_Pair = Annotated[str, Field(pattern="^[^-]+-[^-]+$")]

Numbers = Annotated[tuple[int, ...], _LIST, _DIFFERENT, _SOME]
Ascending = Annotated[Numbers, AfterValidator(lambda value: tuple(sorted(value)))]
Shares = Annotated[tuple[_Share, ...], _LIST, _DIFFERENT, _SOME]
Weights = Annotated[tuple[_Weight, ...], _LIST, _DIFFERENT, _SOME]
Names = Annotated[tuple[_Name, ...], _LIST, _DIFFERENT, _SOME]
NamesOrNone = Annotated[tuple[_Name, ...], _LIST, _DIFFERENT]
Pairs = Annotated[tuple[_Pair, ...], _LIST, _DIFFERENT, _SOME]
"""Of base and expert, as ``tr18-tr10``."""
