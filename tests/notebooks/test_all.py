"""Every notebook at smoke scale, as ``repro run all`` runs them: one store, one kernel each."""

from pathlib import Path

import nbformat
import pytest

from repro.report.exhibits import NAMES, OTHERS
from repro.report.run import run_notebooks
from repro.study.results import load_results

ROOT = Path(__file__).parents[2]


def test_every_exhibit_has_its_notebook_and_its_chapter() -> None:
    assert sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")) == sorted([*NAMES, *OTHERS])
    for name in [*NAMES, *OTHERS]:
        assert (ROOT / "book" / f"{name}.md").is_file()
        cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
        assert [cell.metadata.get("tags") for cell in cells if "tags" in cell.metadata] == [["parameters"]]
        assert f'exhibit("{name}")' in "\n".join(cell.source for cell in cells)


@pytest.mark.slow
def test_repro_run_all_at_smoke_scale(tmp_path: Path) -> None:
    executed = run_notebooks(["all"], {"scale": "smoke", "root": str(tmp_path)})
    assert sorted(path.stem for path in executed) == sorted(NAMES)
    results = load_results(tmp_path / "results")
    assert sorted(result.study for result in results.values()) == sorted(NAMES)
    for result in results.values():
        assert (result.dataset, result.scale, result.seeds) == ("modes", "smoke", [0])
        assert result.measurements or result.tables
