"""The store: artifacts on disk, each keyed by exactly what it depends on, each whole or absent.

<root>/store/<kind>/<hash>/weights.safetensors   tensors, never pickle
artifact.json         what it depends on, metrics, history, where it came from
<root>/store/<kind>/<hash>.unfinished/           the checkpoint of one that is being made
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from repro import __version__
from repro.errors import StoreError
from repro.files import write_aside
from repro.method.device import hardware, precision
from repro.study.spec import Key

LIBRARIES = ("torch", "torchvision", "numpy", "scikit-learn")
CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Artifact:
    """Tensors with what is known of them.

    metrics  small numbers, e.g. the gate's agreement with g0
    history  one ``[loss, accuracy, seconds]`` an epoch, where it was trained
    made     provenance: code, libraries, hardware, precision, seconds, when
    """

    tensors: dict[str, Tensor]
    metrics: dict[str, float] = field(default_factory=dict)
    history: list[list[float]] = field(default_factory=list)
    made: dict[str, Any] = field(default_factory=dict)


class Store:
    """Artifacts below ``<root>/store``."""

    def __init__(self, root: Path) -> None:
        self.folder = Path(root) / "store"
        code_version()

    def path(self, key: Key) -> Path:
        """The folder of a finished artifact."""
        return self.folder / key.kind / key.hash

    def unfinished(self, key: Key) -> Path:
        """The folder of one that is being made."""
        return self.folder / key.kind / f"{key.hash}.unfinished"

    def has(self, key: Key) -> bool:
        """Whether the artifact is there, finished."""
        return (self.path(key) / "artifact.json").exists()

    def load(self, key: Key) -> Artifact:
        """Read a finished artifact; :class:`StoreError` names the folder if it cannot be read."""
        path = self.path(key)
        try:
            about = json.loads((path / "artifact.json").read_text(encoding="utf-8"))
            tensors = load_file(path / "weights.safetensors")
        except (OSError, ValueError, SafetensorError) as error:
            raise StoreError(
                f"the {key.label} in {path} cannot be read ({error}); remove that folder to make it again"
            ) from error
        return Artifact(tensors, about["metrics"], about["history"], about["made"])

    def keep(self, key: Key, make: Callable[[Path], Artifact], device: torch.device) -> Artifact:
        """Load the artifact, or make it with ``make(checkpoint)`` and keep it.

        ``checkpoint`` is the file in which training keeps its state; it goes when the artifact is whole.
        """
        if self.has(key):
            return self.load(key)
        checkpoint = self.begin(key)
        began = time.monotonic()
        artifact = make(checkpoint)
        trained = sum(entry[2] for entry in artifact.history)  # counts epochs done before a stop as well
        seconds = max(time.monotonic() - began, trained)
        artifact = Artifact(artifact.tensors, artifact.metrics, artifact.history, made_here(device, seconds))
        about = {
            "kind": key.kind, "hash": key.hash, "label": key.label, "depends_on": key.depends_on,
            "metrics": artifact.metrics, "history": artifact.history, "made": artifact.made,
        }  # fmt: skip
        with write_aside(self.path(key)) as aside:
            aside.mkdir()
            save_file(
                {k: v.detach().cpu().contiguous() for k, v in artifact.tensors.items()}, aside / "weights.safetensors"
            )
            (aside / "artifact.json").write_text(json.dumps(about, indent=1, ensure_ascii=False), encoding="utf-8")
        shutil.rmtree(self.unfinished(key), ignore_errors=True)
        return artifact

    def begin(self, key: Key) -> Path:
        """Make the folder of an artifact that is not there yet; returns the place of its checkpoint."""
        unfinished = self.unfinished(key)
        try:
            unfinished.mkdir(parents=True, exist_ok=True)
            (unfinished / "label.txt").write_text(key.label, encoding="utf-8")
        except OSError as error:
            raise StoreError(
                f"the store cannot be written: {error}; choose another folder with the parameter root"
            ) from error
        return unfinished / CHECKPOINT

    def finished(self) -> Iterator[dict[str, Any]]:
        """The description of every finished artifact, with its ``bytes`` on disk."""
        for about in sorted(self.folder.glob("*/*/artifact.json")):
            size = sum(f.stat().st_size for f in about.parent.iterdir())
            yield {**json.loads(about.read_text(encoding="utf-8")), "bytes": size}

    def half_done(self) -> Iterator[dict[str, Any]]:
        """Every unfinished artifact: kind, hash, label and epochs done."""
        for folder in sorted(self.folder.glob("*/*.unfinished")):
            try:
                with safe_open(folder / CHECKPOINT, "pt") as file:
                    epochs = len(json.loads(file.metadata()["history"]))
            except (OSError, SafetensorError):  # stopped before its first epoch was over
                epochs = 0
            label = folder / "label.txt"
            yield {
                "kind": folder.parent.name,
                "hash": folder.name.removesuffix(".unfinished"),
                "label": label.read_text(encoding="utf-8") if label.exists() else "",
                "epochs_done": epochs,
            }


def made_here(device: torch.device, seconds: float) -> dict[str, Any]:
    """Provenance of something made now by this process."""
    return {
        "code": code_version(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware(device),
        "precision": precision(device),
        "libraries": {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}},
        "seconds": round(seconds, 2),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


@cache
def code_version() -> str:
    """The commit of the code, with ``+`` when ``repro/`` has changes; the package version outside a checkout.

    Asked once a process, before anything is made: the code that runs is the code as it was then.
    """
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
