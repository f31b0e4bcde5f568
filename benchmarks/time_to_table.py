"""A newcomer has the first table within two minutes of the installation, and again at once.

The README's first command (the notebook of Table 2 at quick scale, by papermill) from an empty store, and the same
once more, when everything is found in the store; each in a process of its own, once. Beside it what ``repro --help``
and ``repro status`` take, five times each, medians. What the first command spends is read from its notebook and its
store.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.timing import Goal, Outcome, command, seconds, table, timed
from repro.study.contents import Contents
from repro.study.places import project_folder

REPRO = [sys.executable, "-m", "repro.cli"]
# A user's Python keeps compiled modules; some sandboxes forbid it, and then importing is compiling.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(*command: str) -> str:
    return subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True, text=True).stdout


def first_table(scale: str, folder: Path, name: str = "out") -> float:
    notebook = (project_folder() or Path()) / "notebooks" / "table2_num_experts.ipynb"
    papermill = [sys.executable, "-m", "papermill", str(notebook), str(folder / f"{name}.ipynb")]
    return seconds(partial(run, *papermill, "-p", "scale", scale, "-p", "root", str(folder / "root")))


def spent_on_first(whole: float, folder: Path) -> Iterator[list[Any]]:
    """[what, how many, seconds] of the first command: from its executed notebook, then from the store, by kind."""
    cells = json.loads((folder / "out.ipynb").read_text(encoding="utf-8"))["cells"]
    took = {True: 0.0, False: 0.0}  # by whether a cell trains
    for cell in cells:
        if cell["cell_type"] == "code":
            took["chapter.run()" in "".join(cell["source"])] += cell["metadata"]["papermill"]["duration"]
    yield ["papermill, its kernel and the notebook's file", None, whole - sum(took.values())]
    yield ["the cell that imports, trains and evaluates", None, took[True]]
    yield ["the other cells: tables, figures, what is shown", None, took[False]]
    made = defaultdict(list)
    for about in Contents(folder / "root").finished():
        made[about["kind"]].append(about["made"]["seconds"])
    for kind, each in sorted(made.items(), key=lambda item: -sum(item[1])):
        yield [f"in that cell, of whoever made it: {kind}", len(each), sum(each)]


def measure(args: argparse.Namespace) -> Outcome:
    scale, repetitions = ("smoke", 1) if args.quick else ("quick", 5)
    with tempfile.TemporaryDirectory() as folder:
        first = first_table(scale, Path(folder))
        spent = table(["", "how many", "seconds"], spent_on_first(first, Path(folder)))
        second = first_table(scale, Path(folder), "again")
        asked = {"repro --help": ["--help"], "repro status": ["status", "--root", f"{folder}/root"]}
        answers = timed({name: partial(run, *REPRO, *arguments) for name, arguments in asked.items()}, repetitions)
    text = f"Table 2 at {scale} scale, from nothing"
    rows: list[list[Any]] = [[text, first, None], ["the same, everything found", second, None]]
    rows += [[name, m.median, m.spread] for name, m in answers.items()]
    bounds = {text: 120, "repro --help": 2, "repro status": 2}
    goals = [
        Goal(text=name, measured=round(took, 2), bound=bounds[name], at_most=True, unit="s")
        for name, took, _ in rows
        if name in bounds
    ]
    columns = ["", "seconds", "spread"]
    return Outcome(goals, {"From a command to its end": table(columns, rows), "What the first command spends": spent})


if __name__ == "__main__":
    command(__doc__, measure)
