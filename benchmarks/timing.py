"""What the benchmarks share: interleaved repetitions, medians with their spread, and the record."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile

from repro.study.benchmarks import Goal, PerformanceRecord
from repro.study.places import default_root, results_folder
from repro.study.provenance import made_here
from repro.study.results import Provenance, Table

CPU = torch.device("cpu")


class Measured(NamedTuple):
    """Repetitions of one thing: its median, and (max - min) / median as the spread."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        return (max(self.values) - min(self.values)) / self.median

    def over(self, other: Measured) -> float:
        """The median of the ratios, repetition by repetition: what disturbs one disturbs its neighbour alike."""
        return statistics.median(a / b for a, b in zip(self.values, other.values, strict=True))


def interleaved(ways: Mapping[str, Callable[[], float]], repetitions: int, warm: bool = True) -> dict[str, Measured]:
    """Each way measured in turn, ``repetitions`` times over; to be ``warm``, after one round that does not count."""
    for way in ways.values() if warm else ():
        way()
    values: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repetitions):
        for name, way in ways.items():
            values[name].append(way())
    return {name: Measured(tuple(each)) for name, each in values.items()}


def timed(ways: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, Measured]:
    """The seconds of each way, interleaved."""
    return interleaved({name: partial(seconds, way) for name, way in ways.items()}, repetitions)


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock of one call, until a GPU has done it as well."""
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def operators_of(step: Callable[[], object], kinds: Mapping[str, Sequence[str]]) -> list[float]:
    """Percent of a call's processor time in each kind of operator, known by parts of its name, and in the rest."""
    for _ in range(2):  # the first starts the profiler itself, and is left out
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            step()
    took, total = dict.fromkeys(kinds, 0.0), 0.0
    for event in profiled.key_averages():
        total += event.self_cpu_time_total
        kind = next((kind for kind, parts in kinds.items() if any(part in event.key.lower() for part in parts)), None)
        if kind:
            took[kind] += event.self_cpu_time_total
    shares = [100 * t / total for t in took.values()]
    return [round(share, 2) for share in [*shares, 100 - sum(shares)]]


@contextmanager
def threads(number: int) -> Iterator[None]:
    """torch on ``number`` threads, for the length of a block."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Outcome(NamedTuple):
    """What a benchmark measured: goals, tables by title, sentences beside them, and where."""

    goals: Sequence[Goal]
    tables: Mapping[str, Table]
    notes: Sequence[str] = ()
    device: torch.device = CPU


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The parser of every benchmark."""
    options = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="seconds, to see that it works; recorded only with --out")
    options.add_argument("--out", type=Path, help="folder of the record (default: results/performance)")
    options.add_argument("--root", type=Path, default=default_root(), help="folder of image sets and store")
    return options


def command(doc: str | None, measure: Callable[[argparse.Namespace], Outcome]) -> None:
    """A benchmark as a command: prints its tables and goals, and writes the record.

    ``doc`` is the claim, an empty line, the method; ``measure`` is handed ``quick`` and ``root``.
    """
    args, began = parser(doc).parse_args(), time.perf_counter()
    goals, tables, notes, device = measure(args)
    for title, table in tables.items():
        print(f"\n{title}")
        frame = pd.DataFrame(table.rows, columns=table.columns)
        print(frame.to_string(index=False, na_rep="", float_format="{:.4g}".format))
    print()
    for goal in goals:
        measured = "not measured" if goal.measured is None else f"{goal.measured:.3g}"
        verdict = {True: "met", False: "missed", None: ""}[goal.met]
        print(f"{goal.text}: {measured} (goal: {'at most' if goal.at_most else 'at least'} {goal.bound:.4g}) {verdict}")
    print(*notes, sep="\n")
    name, (claim, _, method) = Path(sys.argv[0]).stem, (doc or "").strip().partition("\n\n")
    given = f"python benchmarks/{name}.py{' --quick' * args.quick}"
    record = PerformanceRecord(
        name=name, claim=" ".join(claim.split()), method=" ".join(method.split()), quick=args.quick,
        goals=list(goals), tables=dict(tables), notes=list(notes),
        provenance=Provenance(command=given, **made_here(device, time.perf_counter() - began)),
    )  # fmt: skip
    if args.out or not args.quick:
        print(f"recorded in {record.save(args.out or results_folder() / 'performance')}")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """A table whose numbers have four decimals."""
    rounded = [[round(value, 4) if isinstance(value, float) else value for value in row] for row in rows]
    return Table(columns=list(columns), rows=rounded)
