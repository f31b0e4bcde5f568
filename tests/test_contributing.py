"""What CONTRIBUTING shows of the code is the code; what is kept is short, of no one place, without outputs."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(
    r"`((?:repro|tests|notebooks)/[\w/]+\.(?:py|ipynb))`[^`]*?:\n\n```python\n(.*?)```", GUIDE, re.DOTALL
)
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
MACHINE_PATH = re.compile(r"(?<![\w.])(?:/(?:home|Users|root|tmp|work|mnt|private)/|[A-Z]:\\+Users)")


def source(path: Path) -> str:
    """The file; of a notebook its cells of code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n".join("".join(cell["source"]) + "\n" for cell in cells if cell["cell_type"] == "code")
    return re.sub(r"  # (?:fmt|noqa|type): ?\S+", "", text)


def test_every_block_of_python_is_of_the_file_that_it_names() -> None:
    """Parts of it, where lines of three dots stand between."""
    assert len(BLOCKS) == len(re.findall(r"^```python$", GUIDE, re.MULTILINE)) == 4
    for name, block in BLOCKS:
        for part in re.split(r"^\.\.\.\n", block, flags=re.MULTILINE):
            assert f"\n{part}" in f"\n{source(ROOT / name)}\n", part


@pytest.mark.parametrize(
    ("name", "file"),
    [('"shuffles"', "deepmoe_table2_cifar/shuffles.py"), ("deepmoe_theory", "deepmoe_theory/__init__.py")],
)
def test_a_worked_example_is_known_to_one_file(name: str, file: str) -> None:
    inside = [path for path in (ROOT / "repro").rglob("*.py") if name in path.read_text(encoding="utf-8")]
    assert inside == [ROOT / "repro/exhibits" / file]


def test_a_file_is_readable_in_one_sitting() -> None:
    """An exhibit has its parameters, run, claims, tables and figures: a longer one would be two ideas."""
    for path in (ROOT / "repro").rglob("*.py"):
        most = 370 if path.parent.name == "exhibits" else 300
        assert len(path.read_text(encoding="utf-8").splitlines()) <= most, path


def test_notebooks_are_kept_without_outputs() -> None:
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        run = [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
        assert not run, f"clear it: uv run nbstripout --keep-id {path}"


def test_nothing_kept_names_a_place_on_somebodys_machine() -> None:
    for path in [*NOTEBOOKS, *(ROOT / "results").rglob("*.json")]:
        assert not (match := MACHINE_PATH.search(path.read_text(encoding="utf-8"))), f"{path}: {match.group()}..."
    assert all(map(MACHINE_PATH.search, ("-p root /home/me/store", '"/tmp/x"', r'"C:\\Users\\me"')))
    assert not any(map(MACHINE_PATH.search, ("https://example.org/home/me", "data/tmp/x", "../shared/work/")))
