"""What a run that trains nothing does not need is not imported: a second run is mostly imports."""

import subprocess
import sys
from pathlib import Path

import pytest

SLOW = ("torchvision", "sklearn", "torch._dynamo", "sympy", "papermill", "seaborn")
NOTEBOOK = "import repro.report.plots, repro.report.chapter, repro.study.parameters, repro.families.single_gate.study"


def test_a_notebook_starts_without_what_only_training_needs() -> None:
    code = f"import sys; {NOTEBOOK}; print([name for name in {SLOW!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", [["--help"], ["status"]])
def test_a_command_that_only_tells_does_without_torch(command: list[str], tmp_path: Path) -> None:
    asked = [*command, *([] if "--help" in command else ["--root", str(tmp_path)])]
    code = f"import sys; from repro.cli import main; main({asked!r})"
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert not [line for line in done.stderr.splitlines() if line.rpartition("|")[2].strip() == "torch"]
