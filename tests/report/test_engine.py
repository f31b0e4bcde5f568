"""A notebook run in this process says what it says in a kernel of its own, and leaves nothing behind."""

import sys
from pathlib import Path

import nbformat
import pytest

from repro.errors import ReproError
from repro.report.notebooks import execute

CELLS = (
    "from IPython.display import Markdown, display\nimport sys",
    "print('one'); print('two'); print('no', file=sys.stderr); display(Markdown('**b**')); 6 * 7",
    "globals().get('left_behind', 'nothing')",
    "left_behind = 1; In[-1][:11]",
)


def notebook(path: Path, *cells: str) -> Path:
    """A notebook of code cells."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(book, path)
    return path


def outputs(path: Path) -> list[list[str]]:
    """What the cells of an executed notebook show."""
    cells = nbformat.read(path, 4).cells
    texts = [[o.get("text") or o.get("evalue") or o.data["text/plain"] for o in c.get("outputs", ())] for c in cells]
    return [of_cell for of_cell in texts if of_cell]


def test_outputs_are_those_of_a_kernel(tmp_path: Path) -> None:
    source = notebook(tmp_path / "a.ipynb", *CELLS)
    before = sys.modules["__main__"]
    for place in ("here", "again"):
        execute(source, tmp_path / f"{place}.ipynb", {}, here=True)
    execute(source, tmp_path / "kernel.ipynb", {})
    assert outputs(tmp_path / "here.ipynb") == outputs(tmp_path / "kernel.ipynb")
    assert outputs(tmp_path / "again.ipynb") == outputs(tmp_path / "here.ipynb")  # and nothing was left behind
    assert sys.modules["__main__"] is before


def test_a_cell_that_fails_is_an_error_and_the_rest_does_not_run(tmp_path: Path) -> None:
    source = notebook(tmp_path / "a.ipynb", "1", "raise ValueError('no such thing')", "print('reached')")
    with pytest.raises(ReproError, match="ValueError: no such thing"):
        execute(source, tmp_path / "out.ipynb", {}, here=True)
    assert not (tmp_path / "out.ipynb").exists()
    assert "reached" not in str(outputs(tmp_path / "out.failed.ipynb"))
