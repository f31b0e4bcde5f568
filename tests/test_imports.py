"""What a run that trains nothing does not need is not imported: a second run is mostly imports."""

import subprocess
import sys
from pathlib import Path

SLOW = ("torchvision", "sklearn", "torch._dynamo", "sympy", "papermill", "seaborn")
NOTEBOOK = "import repro.report.plots, repro.report.chapter, repro.study.parameters, repro.families.single_gate.study"


CODE = f"""
import sys
from contextlib import suppress
from repro.cli import main
with suppress(SystemExit):
    main(["--help"])
assert main(["status", "--root", sys.argv[1]]) == 0
assert "torch" not in sys.modules
{NOTEBOOK}
assert not [name for name in {SLOW!r} if name in sys.modules]
"""


def test_a_command_that_only_tells_does_without_torch_and_a_notebook_without_what_only_training_needs(
    tmp_path: Path,
) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0 and "usage: repro" in done.stdout, done.stderr
