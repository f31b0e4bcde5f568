"""A newcomer has the first table within two minutes of the installation, and again at once.

The README's first command (the notebook of Table 2 at quick scale, by papermill) from an empty store, and the same
once more, when everything is found in the store; each in a process of its own, once. Beside it what a process needs
before it can do anything: the imports of the notebook against ``import torch`` alone, five times each, medians.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from timing import Goal, Measured, arguments, finish, interleaved, seconds

from repro.study.places import project_folder
from repro.study.results import Table

NOTEBOOK = "import repro.report.plots, repro.report.chapter, repro.study.parameters, repro.families.single_gate.study"
# A user's Python keeps compiled modules; some sandboxes forbid it, and then importing is compiling.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(*command: str) -> None:
    subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True)


def python(code: str) -> float:
    return seconds(partial(run, sys.executable, "-c", code))


def table(scale: str, folder: Path) -> float:
    notebook = (project_folder() or Path()) / "notebooks" / "table2_num_experts.ipynb"
    command = [sys.executable, "-m", "papermill", str(notebook), str(folder / "out.ipynb")]
    return seconds(partial(run, *command, "-p", "scale", scale, "-p", "root", str(folder / "root")))


def main() -> None:
    args, began = arguments(__doc__), time.perf_counter()
    scale = "smoke" if args.quick else "quick"
    code = {"nothing": "pass", "import torch": "import torch", "the notebook's imports": NOTEBOOK}
    imports: dict[str, Measured] = interleaved(
        {name: partial(python, text) for name, text in code.items()}, 1 if args.quick else 5
    )
    with tempfile.TemporaryDirectory() as folder:
        first, second = table(scale, Path(folder)), table(scale, Path(folder))
    torch_alone = imports["import torch"]
    rows = [
        [name, round(m.median, 2), round(m.spread, 3), round(m.over(torch_alone), 2)] for name, m in imports.items()
    ]
    rows += [
        [name, round(took, 2), None, round(took / torch_alone.median, 2)]
        for name, took in ((f"Table 2, {scale} scale, from nothing", first), ("the same, everything found", second))
    ]
    tables = {"From a command to its end": Table(columns=["", "seconds", "spread", "over import torch"], rows=rows)}
    text = f"Table 2 at {scale} scale, from nothing"
    goals = [Goal(text=text, measured=round(first, 1), bound=120, at_most=True, unit="s")]
    finish(args, __doc__, goals, tables, began)


if __name__ == "__main__":
    main()
