"""Every notebook at smoke scale, as ``repro run all`` runs them: one store, one kernel each."""

from pathlib import Path

import nbformat
import pytest

from repro.cli.direct import asked
from repro.exhibits import exhibit, exhibits, names
from repro.report.notebooks import run_notebooks
from repro.study.results import EXACT, load_results

ROOT = Path(__file__).parents[2]


def test_every_exhibit_has_its_notebook_and_every_notebook_its_form() -> None:
    assert sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")) == names()
    for name in names():
        cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
        code = [cell for cell in cells if cell.cell_type == "code"]
        assert ["parameters" in cell.metadata.tags for cell in code] == [True, *(False for _ in code[1:])]
        assert all("hide-input" in cell.metadata.tags for cell in code)
        assert f'open_exhibit("{name}", globals())' in code[1].source
        if exhibit(name).place and not name.endswith(("_costs", "_theory")):
            *_, exercises = cells
            assert any(cell.source.startswith("## Play") for cell in cells)
            assert exercises.source.count("<summary>Answer</summary>") == 2


@pytest.mark.slow
def test_repro_run_all_at_smoke_scale(tmp_path: Path) -> None:
    executed = run_notebooks(asked(["all"]), {"scale": "smoke", "root": str(tmp_path)})
    assert sorted(path.stem for path in executed) == sorted(shown.name for shown in exhibits())
    results = load_results(tmp_path / "results")
    assert sorted(result.study for result in results.values()) == sorted(shown.name for shown in exhibits())
    for result in results.values():
        if result.scale == EXACT:
            continue  # counted, whatever the scale
        assert (result.dataset, result.scale, result.seeds) == ("modes", "smoke", [0])
        assert result.measurements or result.tables
