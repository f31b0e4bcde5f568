"""A newcomer has the first table within two minutes of the installation, and again at once.

The README's first command (the notebook of Table 2 at quick scale, by papermill) from an empty store, and the same
once more, when everything is found in the store; each in a process of its own, once. Beside it what a process needs
before it can do anything: the imports of the notebook against ``import torch`` alone, five times each, medians.
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


def measure(args: argparse.Namespace) -> Found:
    scale = "smoke" if args.quick else "quick"
    code = {"nothing": "pass", "import torch": "import torch", "the notebook's imports": NOTEBOOK}
    imports = timed({name: partial(python, text) for name, text in code.items()}, 1 if args.quick else 5)
    with tempfile.TemporaryDirectory() as folder:
        first, second = first_table(scale, Path(folder)), first_table(scale, Path(folder))
    torch_alone, text = imports["import torch"], f"Table 2 at {scale} scale, from nothing"
    rows = [[name, m.median, m.spread, m.over(torch_alone)] for name, m in imports.items()]
    for name, took in ((f"Table 2, {scale} scale, from nothing", first), ("the same, everything found", second)):
        rows.append([name, took, None, took / torch_alone.median])
    goals = [Goal(text=text, measured=round(first, 1), bound=120, at_most=True, unit="s")]
    return Found(goals, {"From a command to its end": table(["", "seconds", "spread", "over import torch"], rows)})


if __name__ == "__main__":
    command(__doc__, measure)
