"""The numbers behind an exhibit's tables and figures as CSV: one row a number, all its image sets and scales."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from repro.files import write_text
from repro.study.benchmarks import PerformanceRecord
from repro.study.results import StudyResult, Table


def frames(results: Sequence[StudyResult]) -> dict[str, pd.DataFrame]:
    """The records of one exhibit by kind of number: ``""`` its measurements, ``costs``, and every recorded table.

    The first two columns say which record a row is of: ``dataset``, ``scale``.
    """
    parts: dict[str, list[pd.DataFrame]] = {}
    for r in results:
        found = {"": pd.DataFrame([m.model_dump() for m in r.measurements])}
        if r.costs:
            found["costs"] = pd.DataFrame([cost.model_dump() for cost in r.costs])
        found |= {name: frame(table) for name, table in r.tables.items()}
        for name, one in found.items():
            one.insert(0, "dataset", r.dataset)
            one.insert(1, "scale", r.scale, allow_duplicates=True)
            parts.setdefault(name, []).append(one)
    return {name: pd.concat(some, ignore_index=True) for name, some in parts.items()}


def frame(table: Table) -> pd.DataFrame:
    """A recorded table as a frame."""
    return pd.DataFrame(table.rows, columns=table.columns)


def of_benchmark(record: PerformanceRecord) -> dict[str, pd.DataFrame]:
    """The tables of a benchmark, by a short form of their titles."""
    return {slug(title): frame(table) for title, table in record.tables.items()}


def slug(title: str) -> str:
    """``The any-time curve`` as ``the-any-time-curve``: a name for a file."""
    return re.sub(r"[^a-z0-9_]+", "-", title.lower()).strip("-")


def file_name(stem: str, name: str) -> str:
    """Of the frame ``name`` of an exhibit or benchmark."""
    return f"{stem}-{slug(name)}.csv" if name else f"{stem}.csv"


def write(stem: str, shown: Mapping[str, pd.DataFrame], folder: Path) -> list[Path]:
    """Write the frames as ``<folder>/<stem>[-<name>].csv``; returns the paths."""
    paths = []
    for name, one in shown.items():
        paths.append(folder / file_name(stem, name))
        write_text(paths[-1], one.to_csv(index=False, lineterminator="\n"))
    return paths
