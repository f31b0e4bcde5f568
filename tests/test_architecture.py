"""The house keeps its floor plan: who may import whom, how long a file may be, what a notebook may carry."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
RECORDS = sorted((ROOT / "results").rglob("*.json"))
ROOMS: tuple[str, ...] = ("cli", "book", "exhibits", "report", "families", "analysis", "study", "training", "data")
ROOMS += ("models", "errors", "files", "randomness", "progress")
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


def test_the_contracts_can_be_broken(tmp_path: Path) -> None:
    """By each of these at once, in a package of all rooms that are empty otherwise; the attic has no place there."""
    upwards = {
        "exhibits": "book", "study": "families", "analysis": "study", "models": "data", "data": "models",
        "training": "study", "errors": "training", "attic": "errors",
    }  # fmt: skip
    imports = {**upwards, "families/one": "families.other"}
    for name in ("__init__", *ROOMS, "families/__init__", "families/other", *imports):
        path = tmp_path / "repro" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"import repro.{imports[name]}\n" if name in imports else "", encoding="utf-8")
    kept, report = lint_imports(tmp_path)
    wanted = [f"repro.{room} -> repro.{imported}" for room, imported in upwards.items() if room != "attic"]
    wanted += ["- repro.attic", "repro.families.one is not allowed to import repro.families.other"]
    assert not kept and [words for words in wanted if words not in report] == [], report


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
    assert all(map(MACHINE_PATH.search, ("-p root /home/me/store", '"/tmp/x"', r'"C:\\Users\\me"')))
    assert not any(map(MACHINE_PATH.search, ("https://example.org/home/me", "data/tmp/x", "../shared/work/")))
