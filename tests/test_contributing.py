"""What CONTRIBUTING shows of the code is the code, and an artifact's kind is known to one file."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(
    r"`((?:repro|tests|notebooks)/[\w/]+\.(?:py|ipynb))`[^`]*?:\n\n```python\n(.*?)```", GUIDE, re.DOTALL
)


def source(path: Path) -> str:
    """The file; of a notebook its cells of code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n".join("".join(cell["source"]) + "\n" for cell in cells if cell["cell_type"] == "code")
    return re.sub(r"  # (?:fmt|noqa|type): ?\S+", "", text)


def parts(block: str) -> list[str]:
    """What stands between lines of three dots."""
    return re.split(r"^\.\.\.\n", block, flags=re.MULTILINE)


@pytest.mark.parametrize(("name", "block"), BLOCKS, ids=[name for name, _ in BLOCKS])
def test_a_block_is_of_the_file_that_it_names(name: str, block: str) -> None:
    text = source(ROOT / name)
    for part in parts(block):
        assert f"\n{part}" in f"\n{text}\n", part


def test_every_block_of_python_is_compared_and_one_that_rots_would_be_seen() -> None:
    assert len(BLOCKS) == len(re.findall(r"^```python$", GUIDE, re.MULTILINE)) == 4
    name, block = BLOCKS[-1]
    assert name == "repro/exhibits/deepmoe_table2_cifar/shuffles.py"
    assert block.replace("FORWARD", "BACKWARD") not in source(ROOT / name)


def test_the_kind_of_the_worked_example_is_known_to_one_file() -> None:
    inside = [path for path in (ROOT / "repro").rglob("*.py") if '"shuffles"' in path.read_text(encoding="utf-8")]
    assert inside == [ROOT / "repro/exhibits/deepmoe_table2_cifar/shuffles.py"]


def test_the_exhibit_of_the_worked_example_is_named_by_its_three_files() -> None:
    found = [path for path in (ROOT / "repro").rglob("*.py") if "deepmoe_theory" in path.read_text(encoding="utf-8")]
    assert found == [ROOT / "repro/exhibits/deepmoe_theory/__init__.py"]
