"""What code something was made by: the checkout's own commit, or, in a copy without one, the commit passed along."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from repro import __version__
from repro.study import provenance

HERE = Path(__file__).parents[2]


def asked(folder: Path, commit: str | None) -> str:
    """The answer of a copy of the package in ``folder``."""
    shutil.copytree(HERE / "repro", folder / "repro", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {name: value for name, value in os.environ.items() if name != provenance.COMMIT}
    environment |= {"PYTHONPATH": str(folder)} | ({} if commit is None else {provenance.COMMIT: commit})
    code = "from repro.study.provenance import code_version as v; print(v())"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    return (done.stdout or done.stderr).strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("commit", "answer"),
    [
        ("0123456789ab", "0123456789ab"), ("0123456789ab+", "0123456789ab+"), (None, __version__),
        ("main", "REPRO_COMMIT is 'main', which is no commit"),
    ],
)  # fmt: skip
def test_a_copy_without_git_says_the_commit_that_is_passed_along(
    tmp_path: Path, commit: str | None, answer: str
) -> None:
    assert answer in asked(tmp_path, commit)


def test_a_checkout_says_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (HERE / ".git").exists():
        pytest.skip("this is no checkout")
    monkeypatch.delenv(provenance.COMMIT, raising=False)
    head = subprocess.run(["git", "-C", str(HERE), "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    assert head.startswith(provenance.code_version.__wrapped__().rstrip("+"))


def test_what_is_passed_along_wins_over_the_checkout_it_was_copied_onto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(provenance.COMMIT, "0123456789ab")
    assert provenance.code_version.__wrapped__() == "0123456789ab"
