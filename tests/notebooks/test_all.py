"""Notebooks as a user executes them: Table 2's, that of one's own images, and all at smoke scale (one store)."""

from pathlib import Path
from typing import Any

import nbformat
import pytest

from repro.cli import main
from repro.cli.direct import asked
from repro.exhibits import exhibit, exhibits, names
from repro.families.single_gate.export import load
from repro.report.notebooks import run_notebooks
from repro.study.results import EXACT, load_results
from tests.cli.test_direct import THREE, begun
from tests.exhibits.test_own_data import TINY

ROOT = Path(__file__).parents[2]


def outputs_of(path: Path) -> str:
    """All that the cells of an executed notebook show, as text."""
    texts = []
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            texts.append(output.get("text", ""))
            texts += [str(value) for value in output.get("data", {}).values()]
    return "\n".join(texts)


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


def test_a_notebook_asks_for_what_its_exhibit_does_by_default() -> None:
    for name in names():
        cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
        (source,) = (cell.source for cell in cells if "parameters" in cell.metadata.get("tags", ()))
        variables: dict[str, Any] = {}
        exec(source, variables)
        asked = {variable: variables[variable] for variable in variables["__annotations__"]}
        assert exhibit(name).parameters(**asked) == exhibit(name).parameters(), name


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")  # a kernel for each would take as long again to start
def test_repro_run_all_at_smoke_scale(tmp_path: Path) -> None:
    executed = run_notebooks(asked(["all"]), {"scale": "smoke", "root": str(tmp_path)})
    names = sorted(each.name for each in exhibits())
    assert sorted(path.stem for path in executed) == names
    results = load_results(tmp_path / "results")
    assert sorted(result.study for result in results.values()) == names
    for result in results.values():
        if result.scale == EXACT:
            continue  # counted, whatever the scale
        assert (result.dataset, result.scale, result.seeds) == ("modes", "smoke", [0])
        assert result.measurements or result.tables


def test_by_notebook_and_then_directly_the_record_is_the_same_and_nothing_is_trained_again(
    table2_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = begun(table2_root, tmp_path, *THREE)
    values = {"scale": "smoke", "experts": "1,3", "controls": "none", "root": str(root)}
    (executed,) = run_notebooks(["table2_num_experts"], values)
    outputs = outputs_of(executed)
    for text in ("ensembling baseline", "3 experts", "anecdote", "artifacts were made"):
        assert text in outputs
    (result,) = load_results(tmp_path / "results", "table2_num_experts").values()
    assert result.numbers_of_experts() == [1, 3] and result.seeds == [0]
    assert len(result.values("top1", "bagging", 3)) == 1 and len(result.values("top1", "backbone", 0)) == 1
    command = "run table2_num_experts -p scale smoke -p experts 1,3 -p controls none"
    assert result.provenance.command == f"repro {command}"
    assert main([*command.split(), "-p", "root", str(tmp_path), "--direct"]) == 0
    assert "artifacts were found in the store" in capsys.readouterr().err
    (again,) = load_results(tmp_path / "results").values()
    assert (again.measurements, again.provenance.command) == (result.measurements, result.provenance.command)


@pytest.mark.usefixtures("in_process")
def test_from_a_folder_of_pictures_to_a_model_that_is_loaded(picture_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (executed,) = run_notebooks(["own_data"], {"folder": str(picture_folder), "root": str(root), **TINY})
    outputs = outputs_of(executed)
    for text in ("base alone", "no costlier than one expert", "validation images", "experts that ran", ">leaf<"):
        assert text in outputs
    (result,) = load_results(root / "results", "own_data").values()
    assert result.dataset == "my-pictures" and result.numbers_of_experts() == [2]
    (exported,) = (root / "exports").iterdir()
    assert load(exported).config.classes == ("apple", "leaf", "sky")
