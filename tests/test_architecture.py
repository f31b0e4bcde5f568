"""The house keeps its floor plan: who may import whom, how long a file may be, what a notebook may carry."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
RECORDS = sorted((ROOT / "results").rglob("*.json"))
ROOMS = ("cli", "book", "exhibits", "report", "families", "analysis", "study", "training", "data", "models")
ROOMS += ("errors", "files", "randomness", "progress")
MACHINE_PATH = re.compile(r"(?<![\w.])(?:/(?:home|Users|root|tmp|work|mnt|private)/|[A-Z]:\\+Users)")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def lint_imports(folder: Path) -> tuple[bool, str]:
    """Judge the package ``repro`` in ``folder`` by the contract of pyproject.toml: (kept, report)."""
    code = "import sys; sys.path.insert(0, ''); from importlinter.cli import lint_imports; sys.exit(lint_imports("
    code += f"{str(ROOT / 'pyproject.toml')!r}, no_cache=True, no_logo=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def test_a_room_imports_only_from_rooms_below_it() -> None:
    kept, report = lint_imports(ROOT)
    assert kept, report


@pytest.mark.parametrize(
    ("room", "imported", "allowed"),
    [
        ("book", "exhibits", True),
        ("exhibits", "book", False),
        ("report", "study", True),
        ("report", "families", True),
        ("families", "study", True),
        ("study", "families", False),
        ("analysis", "study", False),
        ("training", "models", True),
        ("files", "errors", True),
        ("models", "data", False),
        ("data", "models", False),
        ("training", "study", False),
        ("errors", "training", False),
        ("attic", "errors", False),  # a room without a place in the plan
    ],
)
def test_the_contract_can_be_broken(tmp_path: Path, room: str, imported: str, allowed: bool) -> None:
    kept, report = lint_imports(house(tmp_path, f"{room}.py", f"import repro.{imported}\n"))
    assert kept == allowed, report
    assert allowed or f"repro.{room} -> repro.{imported}" in report or f"- repro.{room}" in report


def house(folder: Path, file: str, text: str, *also: str) -> Path:
    """A package with all rooms, and some more, empty but for one file."""
    for name in ("__init__", *ROOMS, *also):
        path = folder / "repro" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (folder / "repro" / file).write_text(text, encoding="utf-8")
    return folder


def test_a_family_knows_no_other_family(tmp_path: Path) -> None:
    more = ("families/__init__", "families/other")
    kept, report = lint_imports(house(tmp_path, "families/one.py", "import repro.families.other\n", *more))
    assert not kept and "repro.families.one is not allowed to import repro.families.other" in report, report


@pytest.mark.parametrize("path", sorted((ROOT / "repro").rglob("*.py")), ids=relative)
def test_a_file_is_readable_in_one_sitting(path: Path) -> None:
    most = 370 if path.parent.name == "exhibits" else 300  # an exhibit's parameters, run, claims, tables and figures
    assert len(path.read_text(encoding="utf-8").splitlines()) <= most, "two ideas: make two files of it"


@pytest.mark.skipif(not NOTEBOOKS, reason="no notebooks yet")
def test_notebooks_are_kept_without_outputs() -> None:
    command = [sys.executable, "-m", "nbstripout", "--verify", "--keep-id", *map(str, NOTEBOOKS)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}clear them: uv run nbstripout --keep-id notebooks/*.ipynb"


@pytest.mark.parametrize("path", NOTEBOOKS + RECORDS, ids=relative)
def test_nothing_kept_names_a_place_on_somebodys_machine(path: Path) -> None:
    assert not (found := MACHINE_PATH.search(path.read_text(encoding="utf-8"))), f"{path.name}: {found.group()}..."


def test_machine_paths_are_told_from_others() -> None:
    for path in ("-p root /home/me/store", '"/tmp/x"', r'"C:\\Users\\me"'):
        assert MACHINE_PATH.search(path), path
    for path in ("https://example.org/home/me", "data/tmp/x", "../shared/work/"):
        assert not MACHINE_PATH.search(path), path
