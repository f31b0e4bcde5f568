"""What a run that trains nothing does not need is not imported: a second run is mostly imports."""

import subprocess
import sys

SLOW = ("torchvision", "sklearn", "torch._dynamo", "sympy", "papermill", "seaborn")
NOTEBOOK = "import repro.report.plots, repro.report.chapter, repro.study.parameters, repro.families.single_gate.study"


def test_a_notebook_starts_without_what_only_training_needs() -> None:
    code = f"import sys; {NOTEBOOK}; print([name for name in {SLOW!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
