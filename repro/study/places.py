"""Where things are: the checkout, the folder of images, store and results, and the recorded results."""

from __future__ import annotations

import os
from pathlib import Path

import repro
from repro.errors import SpecError


def project_folder() -> Path | None:
    """The checkout that this package runs from, if it does."""
    folder = Path(repro.__file__).resolve().parents[1]
    return folder if (folder / "notebooks").is_dir() else None


def default_root() -> Path:
    """``$REPRO_ROOT``, else ``data/`` of the checkout, else ``data/`` here."""
    if os.environ.get("REPRO_ROOT"):
        return Path(os.environ["REPRO_ROOT"])
    return (project_folder() or Path()) / "data"


def results_folder() -> Path:
    """The recorded results that the book is made of: ``$REPRO_RESULTS``, else ``results/`` of the checkout."""
    if os.environ.get("REPRO_RESULTS"):
        return Path(os.environ["REPRO_RESULTS"])
    folder = project_folder()
    if folder is None:
        raise SpecError("there is no results/ here: run from a checkout of the project, or set REPRO_RESULTS")
    return folder / "results"
