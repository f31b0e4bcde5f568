"""What a store holds, read without torch: descriptions of artifacts, what is half-done, what was set aside."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from repro.data.archives import checksum

CHECKPOINT = "checkpoint.safetensors"
FAILED = "failed.json"
HASH = re.compile(r"[0-9a-f]{16}")
WEIGHTS, ABOUT = "weights.safetensors", "artifact.json"


def digest(value: Any) -> str:
    """16 hex digits of the SHA-256 of a value in canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


class DamagedError(Exception):
    """What is wrong with the files of an artifact; the store decides what becomes of it."""


class Contents:
    """What lies below ``<root>/store``."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.folder = self.root / "store"

    def folders(self) -> list[Path]:
        """The folder of every finished artifact, whole or damaged."""
        return sorted(path for path in self.folder.glob("*/*") if HASH.fullmatch(path.name))

    def finished(self) -> Iterator[dict[str, Any]]:
        """The description of every finished artifact, with its ``bytes`` on disk; damaged ones are left out."""
        for folder in self.folders():
            with suppress(DamagedError, OSError):
                size = sum(file.stat().st_size for file in folder.iterdir())
                yield {**read_about(folder), "bytes": size}

    def half_done(self) -> Iterator[dict[str, Any]]:
        """Every unfinished artifact: kind, hash, label, epochs done, and ``failed``: why, or None."""
        for folder in sorted(self.folder.glob("*/*.unfinished")):
            yield {
                "kind": folder.parent.name,
                "hash": folder.name.removesuffix(".unfinished"),
                "label": text(folder / "label.txt"),
                "epochs_done": len(history(folder)),
                "failed": json.loads(text(folder / FAILED) or "{}").get("why"),
            }

    def set_aside(self) -> list[Path]:
        """Folders of artifacts that were set aside."""
        return sorted(p for p in self.folder.glob("*/*") if re.fullmatch(r"[0-9a-f]{16}\.(damaged|stale)-\d+", p.name))


def read_about(folder: Path) -> dict[str, Any]:
    """The description of an artifact; :class:`DamagedError` when it is not one, or has changed since it was written."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DamagedError(f"{ABOUT} is missing") from error
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{ABOUT} is not JSON ({error})") from error
    written = about.pop("about_digest", None) if isinstance(about, dict) else None
    if digest(about) != written:
        raise DamagedError(f"{ABOUT} has changed since it was written")
    return dict(about)


def signed(about: Mapping[str, Any]) -> bytes:
    """The description of an artifact as it is written: JSON, with its own checksum."""
    return json.dumps({**about, "about_digest": digest(about)}, indent=1, ensure_ascii=False).encode()


def checksum_of(about: Mapping[str, Any]) -> str:
    """The SHA-256 of an artifact's tensors as they were made: where they were rounded to travel, of before that."""
    return str((about.get("rounded") or {}).get("from_sha256") or about["weights_sha256"])


def check_tensors(folder: Path, about: Mapping[str, Any]) -> None:
    """:class:`DamagedError` when the file of tensors is missing, or is not the one that was written."""
    if not (folder / WEIGHTS).exists():
        raise DamagedError(f"{WEIGHTS} is missing")
    if checksum(folder / WEIGHTS, "sha256") != about["weights_sha256"]:
        raise DamagedError(f"the checksum of {WEIGHTS} is not the one it was written with")


def history(folder: Path) -> list[list[float]]:
    """The epochs of an unfinished artifact; empty if none is over."""
    try:
        with safe_open(folder / CHECKPOINT, "np") as file:
            epochs: list[list[float]] = json.loads(file.metadata()["history"])
            return epochs
    except (OSError, SafetensorError):  # stopped before its first epoch was over
        return []


def text(path: Path) -> str:
    """What a file says; nothing where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
