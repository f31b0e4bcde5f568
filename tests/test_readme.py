"""README's first command, its export and its Python exactly as printed, in another folder than the checkout.

The other commands are read, and not run, by ``test_printed_commands.py``.
"""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from papermill.cli import papermill
from papermill.engines import papermill_engines
from PIL import Image

from repro.book.readme import came_out, with_what_came_out
from repro.cli import main
from repro.cli.direct import remaining_of
from repro.families.single_gate.export import load
from repro.families.single_gate.scales import SCALES
from repro.families.single_gate.study import SingleGateParameters
from repro.report.engine import InProcessEngine
from repro.study.places import default_root
from repro.study.results import load_results

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def command(beginning: str) -> list[str]:
    """The arguments of README's command that begins so."""
    (line,) = set(re.findall(rf"uv run ({beginning}[^`\n]*)", README))
    return shlex.split(line)[1:]


def python(beginning: str) -> str:
    """README's block of Python that begins so."""
    (block,) = re.findall(rf"```python\n({re.escape(beginning)}.*?)```", README, re.DOTALL)
    return block


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with the notebooks and nothing else; the quick scale takes seconds."""
    monkeypatch.setenv("REPRO_ROOT", str(tmp_path / "root"))
    tiny = {"width": 0.0625, "num_train": 200, "num_test": 50, "stacking": False}
    monkeypatch.setitem(SCALES, "quick", {"modes": {**SCALES["smoke"]["modes"], **tiny}})
    monkeypatch.setitem(papermill_engines._engines, None, InProcessEngine)  # a kernel of its own would not know that
    here = tmp_path / "here"
    here.mkdir()
    (here / "notebooks").symlink_to(ROOT / "notebooks")
    monkeypatch.chdir(here)
    return here


def test_the_first_command_the_export_and_the_python(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = CliRunner().invoke(papermill, command("papermill notebooks/table2"))
    assert done.exit_code == 0, done.output
    assert list(load_results(elsewhere.parent / "root" / "results")) == ["table2_num_experts-modes-quick"]
    assert main(command("repro export table2_num_experts")) == 0
    assert load("my-moe").config.num_experts == 20
    assert "remains" not in remaining_of(["table2_num_experts"], {}), "what --minutes says when all stands"
    assert main(["run", "table2_num_experts", "--direct"]) == 0
    assert f"record: {elsewhere.parent / 'root' / 'results'}" in capsys.readouterr().out
    assert sorted(path.name for path in elsewhere.iterdir()) == ["my-moe", "notebooks", "table2.ipynb"]

    Image.new("RGB", (40, 36), (200, 60, 20)).save(elsewhere / "picture.png")
    exec(python("from PIL import Image"), {})
    assert capsys.readouterr().out.strip() in load("my-moe").config.classes
    (elsewhere / "data").symlink_to(elsewhere.parent / "root")  # what the first command trained is found
    names: dict[str, Any] = {}
    exec(python("from pathlib import Path"), names)
    assert names["study"].runner.failed == {} and len(names["prediction"].scores) == len(names["batch"].images) == 50
    assert "made: " not in capsys.readouterr().err


def test_the_commands_stand_on_the_first_screen() -> None:
    first = "\n".join(README.splitlines()[:40])
    assert "pip install uv && uv run papermill notebooks/table2_num_experts.ipynb table2.ipynb" in first
    assert "uv run pytest" in first


def test_what_came_out_is_what_the_records_say() -> None:
    results = list(load_results(ROOT / "results").values())
    assert with_what_came_out(README, results) == README, "write it anew: uv run python -m repro.book.readme"
    assert "| not run |" in came_out([]) and "| not run |" not in came_out(results).partition("DeepMoE beats")[0]


def test_the_usual_root_is_data_and_the_current_folder_is_had_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REPRO_ROOT", raising=False)
    roots = [SingleGateParameters.check(**asked).root for asked in ({}, {"root": ""}, {"root": "."})]
    assert roots == [ROOT / "data", ROOT / "data", Path(".")] and default_root() == ROOT / "data"
    monkeypatch.setenv("REPRO_ROOT", "somewhere")
    assert SingleGateParameters.check().root == SingleGateParameters.check(root="").root == Path("somewhere")
