"""A newcomer has the first table within two minutes of the installation, and again at once.

The README's first command (the notebook of Table 2 at quick scale, by papermill) from an empty store, and the same
once more, when everything is found in the store; each in a process of its own, once. Beside it what a process needs
before it can do anything: the imports of the notebook against ``import torch`` alone, and what ``repro --help`` and
``repro status`` take, five times each, medians. The record has the project's own time besides (tests, book, with
`--ci` the whole of `.ci/run`), which no page shows. What the first command spends is read from its notebook and its
store.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple
from unittest.mock import patch

from benchmarks.timing import Goal, Outcome, command, seconds, table, timed
from repro.study.contents import Contents
from repro.study.places import project_folder
from repro.study.results import Table

NOTEBOOK = "import repro.report.plots, repro.report.chapter, repro.study.parameters, repro.families.single_gate.study"
REPRO = [sys.executable, "-m", "repro.cli"]
# A user's Python keeps compiled modules; some sandboxes forbid it, and then importing is compiling.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
CI, BOOK = ".ci/run", "repro book"


def run(*command: str) -> str:
    return subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True, text=True).stdout


def python(code: str) -> str:
    return run(sys.executable, "-c", code)


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
    code = "import time; from repro.data.modes import make_modes; began = time.perf_counter()\n"
    code += "make_modes('train'); make_modes('test'); print(time.perf_counter() - began)"
    yield ["in that cell, of each process: the embedded images made", None, float(python(code))]


class Part(NamedTuple):
    """Calls of a function that was watched: their seconds, and those without what else was watched inside them."""

    calls: int
    whole: float
    own: float


def _kind_of_page(builder: object, page: str, *_: object) -> str:
    return {"api": "of the reference", "notebooks": "of notebooks"}.get(page.partition("/")[0], "of the rest")


PARTS: dict[str, Callable[..., str]] = {
    "sphinx.ext.apidoc.main": lambda *_: "list of the reference's pages, by apidoc",
    "repro.book.build.collect": lambda *_: "records, CSV files and figures",
    "repro.book.build.execute": lambda notebook, *_: f"notebooks executed: {notebook.stem}",
    "repro.book.build.run_jupyter_book": lambda *_: "Sphinx",
    "sphinx.builders.Builder.read_doc": lambda *about: f"Sphinx reads pages {_kind_of_page(*about)}",
    "sphinx.builders.html.StandaloneHTMLBuilder.write_doc": lambda *about: (
        f"Sphinx writes pages {_kind_of_page(*about)}"
    ),
    "repro.book.build.check_html": lambda *_: "pages checked",
    "repro.report.exhibit.Exhibit.judge": lambda *_: "claims judged",
    "matplotlib.figure.Figure.savefig": lambda *_: "figures saved",
}
"""What of the book is timed, and the name of a call by its arguments."""


@contextmanager
def watched(parts: Mapping[str, Callable[..., str]]) -> Iterator[dict[str, Part]]:
    """Functions by their address, timed whenever they are called until the block ends."""
    spent: dict[str, Part] = {}
    inside = [0.0]  # seconds of watched calls inside the one that runs, one entry a depth

    def timing(run: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            inside.append(0.0)
            began = time.perf_counter()
            try:
                return run(*args, **kwargs)
            finally:
                took = time.perf_counter() - began
                before = spent.get(name(*args), Part(0, 0.0, 0.0))
                spent[name(*args)] = Part(before.calls + 1, before.whole + took, before.own + took - inside.pop())
                inside[-1] += took

        return call

    patches = []
    for address, name in parts.items():
        owner, _, function = address.rpartition(".")
        patches.append(patch(address, timing(getattr(resolve_name(owner), function), name)))
    for each in patches:
        each.start()
    try:
        yield spent
    finally:
        for each in patches:
            each.stop()


def build_watched(out: str) -> None:
    """``repro book``, and as the last line of what it prints its parts as JSON, and the seconds of the whole of it."""
    from jupyter_book import sphinx  # noqa: F401

    from repro.cli import main
    from repro.report import engine  # noqa: F401

    with watched(PARTS) as spent:
        began = time.perf_counter()
        status = main(["book", "--out", out])
    print(json.dumps([spent, time.perf_counter() - began]))
    sys.exit(status)


def spent_on_book(whole: float, printed: str) -> tuple[Table, Table]:
    """Of the book: its parts, and its notebooks one by one; ``whole`` are the seconds of the process."""
    spent, inside = json.loads(printed.splitlines()[-1])
    parts: dict[str, Part] = {}
    for name, (calls, took, own) in spent.items():
        group = name.partition(": ")[0]
        before = parts.get(group, Part(0, 0.0, 0.0))
        parts[group] = Part(before.calls + calls, before.whole + took, before.own + own)
    rows = [[name, *part, part.own / whole] for name, part in parts.items()]
    imports, rest = whole - inside, inside - sum(part.own for part in parts.values())
    rows += [[name, None, took, took, took / whole] for name, took in (("imports", imports), ("the rest", rest))]
    one_by_one = [[name.partition(": ")[2], *of] for name, of in spent.items() if ": " in name]
    columns = ["", "calls", "seconds", "seconds of its own", "share of the command"]
    slowest = sorted(one_by_one, key=lambda row: -row[2])
    return table(columns, sorted(rows, key=lambda row: -row[3])), table(columns[:-1], slowest)


def steps_of_ci(printed: str) -> Table:
    """The steps of ``.ci/run`` with their seconds, as it prints them in the end."""
    lines = re.findall(r"^ *(\d+) s  (.+)$", printed.partition("== seconds\n")[2], re.MULTILINE)
    return table(["step", "seconds"], [[name, int(took)] for took, name in lines])


def measure(args: argparse.Namespace) -> Outcome:
    scale, repetitions = ("smoke", 1) if args.quick else ("quick", 5)
    code = {"nothing": "pass", "import torch": "import torch", "the notebook's imports": NOTEBOOK}
    imports = timed({name: partial(python, text) for name, text in code.items()}, repetitions)
    own: dict[str, float] = {}
    printed: dict[str, str] = {}

    def once(name: str, *command: str) -> None:
        began = time.perf_counter()
        printed[name] = run(*command)
        own[name] = time.perf_counter() - began

    with tempfile.TemporaryDirectory() as folder:
        first = first_table(scale, Path(folder))
        tables = {
            "What the first command spends": table(["", "how many", "seconds"], spent_on_first(first, Path(folder)))
        }
        second = first_table(scale, Path(folder), "again")
        asked = {"repro --help": ["--help"], "repro status": ["status", "--root", f"{folder}/root"]}
        answers = timed({name: partial(run, *REPRO, *arguments) for name, arguments in asked.items()}, repetitions)
        project = project_folder() or Path()
        if not args.quick:
            once("uv run pytest", sys.executable, "-m", "pytest", "-q", str(project / "tests"))
            once(BOOK, sys.executable, __file__, "--build", str(Path(folder) / "book"))
        if args.ci:
            try:
                once(CI, "bash", str(project / CI))
            except subprocess.CalledProcessError as error:  # what was measured before is recorded all the same
                print(error.stdout[-8000:], error.stderr[-4000:], sep="\n", file=sys.stderr)
    if BOOK in own:
        parts, notebooks = spent_on_book(own[BOOK], printed[BOOK])
        tables |= {"What the book spends": parts, "The book's notebooks, executed": notebooks}
    if CI in own:
        tables["What .ci/run spends"] = steps_of_ci(printed[CI])
    torch_alone, text = imports["import torch"], f"Table 2 at {scale} scale, from nothing"
    rows = [[name, m.median, m.spread, m.over(torch_alone)] for name, m in imports.items()]
    for name, took in ((f"Table 2, {scale} scale, from nothing", first), ("the same, everything found", second)):
        rows.append([name, took, None, took / torch_alone.median])
    rows += [[name, m.median, m.spread, m.over(torch_alone)] for name, m in answers.items()]
    rows += [[name, took, None, took / torch_alone.median] for name, took in own.items()]
    measured = {text: first, **{name: m.median for name, m in answers.items()}, **own}
    bounds = {text: 120, "repro --help": 2, "repro status": 2, "uv run pytest": 300, BOOK: 120, CI: 900}
    goals = [
        Goal(text=name, measured=measured.get(name) and round(measured[name], 2), bound=bound, at_most=True, unit="s")
        for name, bound in bounds.items()
    ]
    columns = ["", "seconds", "spread", "over import torch"]
    return Outcome(goals, {"From a command to its end": table(columns, rows), **tables})


if __name__ == "__main__":
    if "--build" in sys.argv:
        build_watched(sys.argv[-1])
    else:
        command(__doc__, measure, {"ci": "run .ci/run as well, which takes about twenty minutes"})
