"""The numbers behind an exhibit's tables and figures as CSV: one row a number, all its image sets and scales."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from repro.files import write_text
from repro.study.results import StudyResult, Table


def frames(results: Sequence[StudyResult]) -> dict[str, pd.DataFrame]:
    """The records of one exhibit by kind of number: ``""`` its measurements, ``costs``, and every recorded table.

    The first three columns say which record a row is of: ``dataset``, ``scale``, ``part``, which few have.
    """
    parts: dict[str, list[pd.DataFrame]] = {}
    for r in results:
        by_kind = {"": pd.DataFrame([m.model_dump() for m in r.measurements])}
        if r.costs:
            by_kind["costs"] = pd.DataFrame([cost.model_dump() for cost in r.costs])
        by_kind |= of_tables(r.tables)
        for name, one in by_kind.items():
            one.insert(0, "dataset", r.dataset)
            one.insert(1, "scale", r.scale, allow_duplicates=True)
            one.insert(2, "part", r.part, allow_duplicates=True)
            parts.setdefault(name, []).append(one)
    return {name: pd.concat(some, ignore_index=True) for name, some in parts.items()}


def of_tables(tables: Mapping[str, Table]) -> dict[str, pd.DataFrame]:
    """Recorded tables as frames."""
    return {name: pd.DataFrame(table.rows, columns=table.columns) for name, table in tables.items()}


def write(stem: str, by_kind: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write the frames as ``<folder>/<stem>[-<name>].csv``, names such as ``The any-time curve`` in small letters."""
    for name, one in by_kind.items():
        slug = re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")
        write_text(folder / f"{stem}-{slug}.csv".replace("-.", "."), one.to_csv(index=False, lineterminator="\n"))
