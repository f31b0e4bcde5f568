"""The notebook on one's own images, executed as a user would, on a folder of small pictures."""

from pathlib import Path

import pytest

from repro.errors import ReproError
from repro.families.single_gate.export import load
from repro.report.notebooks import run_notebooks
from repro.study.results import load_results
from tests.notebooks.test_table2 import outputs_of

TINY = {"width": "0.0625", "num_experts": "2", "epochs": "1", "expert_epochs": "1", "batch_size": "16"}


def test_from_a_folder_to_a_model_that_is_loaded(picture_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (executed,) = run_notebooks(["own_data"], {"folder": str(picture_folder), "root": str(root), **TINY})
    shown = outputs_of(executed)
    for words in ("base alone", "no costlier than one expert", "validation images", "experts that ran", ">leaf<"):
        assert words in shown
    (result,) = load_results(root / "results", "own_data").values()
    assert result.dataset == "my-pictures" and result.numbers_of_experts() == [2]
    (exported,) = (root / "exports").iterdir()
    assert load(exported).config.classes == ("apple", "leaf", "sky")


def test_a_folder_that_is_not_there_ends_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ReproError, match=r"there is no folder .*nowhere"):
        run_notebooks(["own_data"], {"folder": str(tmp_path / "nowhere"), "root": str(tmp_path / "root")})
    assert not (tmp_path / "root" / "store").exists()
