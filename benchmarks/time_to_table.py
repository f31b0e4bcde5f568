"""A newcomer has the first table within two minutes of the installation, and again at once.

The README's first command (the notebook of Table 2 at quick scale, by papermill) from an empty store, and the same
once more, when everything is found in the store; each in a process of its own, once. Beside it what a process needs
before it can do anything: the imports of the notebook against ``import torch`` alone, and what ``repro --help`` and
``repro status`` take, five times each, medians. Then the project's own time: the tests and the book, once each; both
have to succeed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.timing import Found, Goal, command, seconds, table, timed
from repro.study.places import project_folder

NOTEBOOK = "import repro.report.plots, repro.report.chapter, repro.study.parameters, repro.families.single_gate.study"
REPRO = [sys.executable, "-m", "repro.cli"]
# A user's Python keeps compiled modules; some sandboxes forbid it, and then importing is compiling.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(*command: str) -> None:
    subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True)


def python(code: str) -> None:
    run(sys.executable, "-c", code)


def first_table(scale: str, folder: Path) -> float:
    notebook = (project_folder() or Path()) / "notebooks" / "table2_num_experts.ipynb"
    papermill = [sys.executable, "-m", "papermill", str(notebook), str(folder / "out.ipynb")]
    return seconds(partial(run, *papermill, "-p", "scale", scale, "-p", "root", str(folder / "root")))


def own_time(folder: Path) -> dict[str, float]:
    """Seconds of README's second command and of the book."""
    project = project_folder() or Path()
    tests = [sys.executable, "-m", "pytest", "-q", str(project / "tests")]
    book = [*REPRO, "book", "--out", str(folder / "book")]
    return {"uv run pytest": seconds(partial(run, *tests)), "repro book": seconds(partial(run, *book))}


def measure(args: argparse.Namespace) -> Found:
    scale, repetitions = ("smoke", 1) if args.quick else ("quick", 5)
    code = {"nothing": "pass", "import torch": "import torch", "the notebook's imports": NOTEBOOK}
    imports = timed({name: partial(python, text) for name, text in code.items()}, repetitions)
    with tempfile.TemporaryDirectory() as folder:
        first, second = first_table(scale, Path(folder)), first_table(scale, Path(folder))
        asked = {"repro --help": ["--help"], "repro status": ["status", "--root", f"{folder}/root"]}
        answers = timed({name: partial(run, *REPRO, *words) for name, words in asked.items()}, repetitions)
        own = {} if args.quick else own_time(Path(folder))
    torch_alone, text = imports["import torch"], f"Table 2 at {scale} scale, from nothing"
    rows = [[name, m.median, m.spread, m.over(torch_alone)] for name, m in imports.items()]
    for name, took in ((f"Table 2, {scale} scale, from nothing", first), ("the same, everything found", second)):
        rows.append([name, took, None, took / torch_alone.median])
    rows += [[name, m.median, m.spread, m.over(torch_alone)] for name, m in answers.items()]
    rows += [[name, took, None, took / torch_alone.median] for name, took in own.items()]
    measured = {text: first, **{name: m.median for name, m in answers.items()}, **own}
    bounds = {text: 120, "repro --help": 2, "repro status": 2, "uv run pytest": 300, "repro book": 120}
    goals = [
        Goal(text=name, measured=measured.get(name) and round(measured[name], 2), bound=bound, at_most=True, unit="s")
        for name, bound in bounds.items()
    ]
    return Found(goals, {"From a command to its end": table(["", "seconds", "spread", "over import torch"], rows)})


if __name__ == "__main__":
    command(__doc__, measure)
