"""The Table 2 notebook, executed as a user would."""

from pathlib import Path

import nbformat
import pytest

from repro.errors import ReproError
from repro.report.notebooks import run_notebooks
from repro.study.results import load_results


def outputs_of(path: Path) -> str:
    """All that the cells of an executed notebook show, as text."""
    texts = []
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            texts.append(output.get("text", ""))
            texts += [str(value) for value in output.get("data", {}).values()]
    return "\n".join(texts)


def test_smoke_run_makes_its_table_and_record_and_the_second_trains_nothing(tmp_path: Path) -> None:
    asked = {"scale": "smoke", "experts": "1,3", "root": str(tmp_path)}
    (executed,) = run_notebooks(["table2_num_experts"], asked)
    shown = outputs_of(executed)
    for words in ("ensembling baseline", "3 experts", "anecdote", "artifacts were made"):
        assert words in shown
    (result,) = load_results(tmp_path / "results", "table2_num_experts").values()
    assert result.numbers_of_experts() == [1, 3] and result.seeds == [0]
    assert len(result.values("top1", "bagging", 3)) == 1 and len(result.values("top1", "backbone", 0)) == 1
    assert result.provenance.command == "repro run table2_num_experts -p scale smoke -p experts 1,3"

    (again,) = run_notebooks(["table2_num_experts"], asked)
    assert "artifacts were found in the store" in outputs_of(again)
    (repeated,) = load_results(tmp_path / "results").values()
    assert repeated.measurements == result.measurements


def test_a_mistyped_parameter_fails_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ReproError, match="there is no field 'expert'"):
        run_notebooks(["table2_num_experts"], {"scale": "smoke", "expert": "3", "root": str(tmp_path)})
    assert not (tmp_path / "store").exists() and not (tmp_path / "results").exists()
    assert not (tmp_path / "notebooks" / "table2_num_experts.ipynb").exists()
    assert (tmp_path / "notebooks" / "table2_num_experts.failed.ipynb").exists()
