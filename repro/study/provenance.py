"""Where something was made: code, libraries, hardware, precision, time."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from repro import __version__
from repro.training.compiling import described
from repro.training.device import hardware, precision

COMMIT = "REPRO_COMMIT"  # environment variable: the commit of code that was copied to another place
LIBRARIES = ("torch", "torchvision", "numpy", "scikit-learn")


def made_here(device: torch.device, seconds: float) -> dict[str, Any]:
    """Provenance of something made now by this process."""
    return {
        "code": code_version(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware(device),
        "precision": precision(device),
        "compile": described(device),
        "libraries": library_versions(),
        "seconds": round(seconds, 2),
    }


@cache
def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that compute."""
    return {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


@cache
def code_version() -> str:
    """What ``$REPRO_COMMIT`` holds, or else the commit of the checkout, with ``+`` when ``repro/`` has changes.

    The variable is for code that was copied, also over an older checkout: ``git rev-parse --short=12 HEAD`` says the
    commit where the code came from. Outside a checkout and without it, the package version. Asked once a process,
    before anything is made: the code that runs is the code as it was then.
    """
    if commit := os.environ.get(COMMIT, "").strip():
        return commit
    here = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != here:
            return __version__
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--", "repro") else "")
    except (OSError, subprocess.SubprocessError):
        return __version__
