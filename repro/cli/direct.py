"""Run exhibits: as notebooks, or without them by the calls of their cells, with text for what these show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

from repro.errors import ReproError
from repro.exhibits import exhibit, exhibits, names
from repro.progress import say
from repro.report.exhibit import Exhibit
from repro.report.notebooks import run_notebooks
from repro.study.graph import ordered
from repro.study.parameters import Parameters
from repro.study.remaining import Remaining
from repro.study.results import StudyResult, files_of, load_result
from repro.study.store import Store

FOR_NOTEBOOKS = ("papermill", "nbformat", "ipykernel", "IPython")


def asked(notebooks: Iterable[str]) -> list[str]:
    """Names or paths of notebooks; ``all`` stands for all that the papers show."""
    wanted = list(notebooks)
    return [each.name for each in exhibits()] if wanted == ["all"] else wanted


def run(
    notebooks: Iterable[str], parameters: Mapping[str, object], output: Path | None = None, direct: bool = False
) -> None:
    """Run notebooks, or with ``direct``, and where papermill or Jupyter is missing, the exhibits without them."""
    wanted = asked(notebooks)
    missing = [name for name in FOR_NOTEBOOKS if find_spec(name) is None]
    if missing and not direct:
        say(f"{', '.join(missing)} not installed: running without notebooks, as --direct does")
    if not (direct or missing):
        run_notebooks(wanted, parameters, output)
        return
    for name in wanted:
        run_directly(exhibit(Path(name).stem), parameters)


def run_directly(exhibit: Exhibit, values: Mapping[str, object]) -> None:
    """Run an exhibit, and print its tables, its claims and where its record is.

    Raises :class:`ReproError` before any work if something is missing that it cannot do without.
    """
    parameters = exhibit.parameters.check(**values)
    if not parameters.recorded:
        _check_packages(parameters)
    for result in exhibit.run(parameters):
        print("\n".join(lines(exhibit, result)))
        if not parameters.recorded:
            files = files_of(parameters.root / "results", result.name)
            print(f"\nrecord: {next(path for path in files if load_result(path).seeds == result.seeds)}")


def lines(exhibit: Exhibit, result: StudyResult) -> Iterable[str]:
    """What the cells of the notebook show, as text: tables, claims, and what no table says."""
    from repro.report.tables import Captioned, claims_caption, claims_table

    if find_spec("pandas") is None:
        yield "pandas is missing, and so are the tables (pip install pandas); measured were"
        for m in result.measurements:
            yield f"{m.row or f'{m.num_experts} experts'}, {m.method}, {m.metric}, seed {m.seed}: {m.value:g}"
    else:
        tables = [*exhibit.tables(result).values(), *exhibit.together([result]).values()]
        if judged := exhibit.judge(result):
            tables.append(Captioned(claims_table(judged), claims_caption(result)))
        for table in tables:
            yield f"\n{table.caption}\n\n{table.frame.to_string()}"
    if advice := exhibit.advice(result):
        yield f"\n{advice}"


def remaining_of(notebooks: Iterable[str], values: Mapping[str, object]) -> str:
    """What of these exhibits is finished and what remains."""
    parts = []
    for name in (Path(notebook).stem for notebook in asked(notebooks)):
        if name in names():
            parameters = exhibit(name).parameters.check(**values)
            left = Remaining(parameters.goals(), Store(parameters.root))
            parts.append(f"{name}\n{left.report()}")
    return "\n".join(parts)


def _check_packages(parameters: Parameters) -> None:
    """scikit-learn's K-means makes the gates: said before a base is trained, where a gate is still to be made."""
    store = Store(parameters.root)
    gates = [step for goal in parameters.goals() for step in ordered(goal.steps) if step.kind == "gate"]
    if find_spec("sklearn") is None and not all(map(store.has, gates)):
        raise ReproError("scikit-learn is missing, whose K-means the gate needs: pip install scikit-learn")
