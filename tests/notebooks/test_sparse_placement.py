"""The notebook on where mixtures go, executed as a user would."""

from pathlib import Path

from repro.report.notebooks import run_notebooks
from repro.study.results import load_results
from tests.notebooks.test_table2 import outputs_of


def test_smoke_run_makes_its_tables_and_record(tmp_path: Path) -> None:
    asked = {"scale": "smoke", "placements": "none,last-2", "root": str(tmp_path)}
    (executed,) = run_notebooks(["sparse_placement"], asked)
    shown = outputs_of(executed)
    for words in ("Last 2", "mixture 2", "dense, as many parameters", "V2/convnext", "anecdote"):
        assert words in shown
    (result,) = load_results(tmp_path / "results", "sparse_placement").values()
    assert result.scale == "smoke" and result.numbers_of_experts() == [8]
