"""What code something was made by: the checkout's own commit, or, in a copy without one, the commit passed along."""

import subprocess
from pathlib import Path

import pytest

from repro import __version__
from repro.errors import SpecError
from repro.study import provenance

HERE = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("commit", "answer"), [("0123456789ab", "0123456789ab"), (" 0123456789ab+\n", "0123456789ab+"), ("", __version__)]
)
def test_a_copy_without_git_says_the_commit_that_is_passed_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commit: str, answer: str
) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "repro" / "study" / "provenance.py"))
    monkeypatch.setenv(provenance.COMMIT, commit)
    assert provenance.code_version.__wrapped__() == answer


def test_a_checkout_says_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (HERE / ".git").exists():
        pytest.skip("this is no checkout")
    monkeypatch.delenv(provenance.COMMIT, raising=False)
    head = subprocess.run(["git", "-C", str(HERE), "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    assert head.startswith(provenance.code_version.__wrapped__().rstrip("+"))


def test_what_is_passed_along_wins_over_the_checkout_it_was_copied_onto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(provenance.COMMIT, "0123456789ab")
    assert provenance.code_version.__wrapped__() == "0123456789ab"
    monkeypatch.setenv(provenance.COMMIT, "main")
    with pytest.raises(SpecError, match="REPRO_COMMIT is 'main', which is no commit"):
        provenance.code_version.__wrapped__()
