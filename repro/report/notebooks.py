"""Run notebooks by papermill: output in its place only on success, errors as sentences."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from repro.errors import ReproError, StoppedError, TimeIsUpError
from repro.files import write_aside
from repro.progress import say
from repro.study.places import default_root, project_folder


def find_notebook(name: str) -> Path:
    """The notebook of a name such as ``table2_num_experts``, or of a path; :class:`ReproError` lists the choices."""
    folder = (project_folder() or Path()) / "notebooks"
    for path in (Path(name), folder / name, folder / f"{name}.ipynb"):
        if path.is_file():
            return path
    known = ", ".join(path.stem for path in sorted(folder.glob("*.ipynb")))
    raise ReproError(f"there is no notebook {name!r} (there are: {known})")


def run_notebooks(names: Iterable[str], parameters: Mapping[str, object], output: Path | None = None) -> list[Path]:
    """Execute notebooks with parameters; returns the executed copies.

    Raises :class:`ReproError` with the sentence of the cell that failed; the notebook as far as it came
    is then kept beside the place of its output as ``NAME.failed.ipynb``.
    """
    folder = output or Path(str(parameters.get("root") or default_root())) / "notebooks"
    executed = []
    for notebook in [find_notebook(name) for name in names]:
        target = folder / notebook.name
        execute(notebook, target, parameters)
        say(f"{notebook.stem}: executed copy in {target}")
        executed.append(target)
    return executed


def execute(notebook: Path, target: Path, parameters: Mapping[str, object], here: bool = False) -> None:
    """Execute one notebook into ``target``, whole or not at all.

    ``here`` runs its cells in this process (:mod:`repro.report.engine`), for those that only read records.
    """
    import papermill
    from papermill.exceptions import PapermillException, PapermillExecutionError

    # The kernel must be this environment's, whatever kernels the user has registered elsewhere.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    if here:
        os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # a debugger's warning; nobody debugs here
        from repro.report import engine

    failed = target.with_suffix(".failed.ipynb")
    failed.unlink(missing_ok=True)
    try:
        with write_aside(target) as aside:
            try:
                papermill.execute_notebook(
                    str(notebook),
                    str(aside),
                    parameters=dict(parameters),
                    kernel_name="python3",
                    progress_bar=False,
                    engine_name=engine.NAME if here else None,
                    request_save_on_cell_execute=not here,
                )
            except PapermillExecutionError as error:
                if error.ename != TimeIsUpError.__name__:
                    os.replace(aside, failed)
                raise
    except PapermillExecutionError as error:
        if error.ename in (StoppedError.__name__, KeyboardInterrupt.__name__):
            raise StoppedError(error.evalue or "stopped") from error
        if error.ename == TimeIsUpError.__name__:
            raise TimeIsUpError(error.evalue) from error
        raise ReproError(f"{notebook.stem}: {error.ename}: {error.evalue} (as far as it came: {failed})") from error
    except PapermillException as error:
        raise ReproError(f"{notebook.stem}: {error}") from error
