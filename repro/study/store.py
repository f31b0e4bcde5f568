"""The store: artifacts on disk, each keyed by exactly what it depends on, each whole or absent.

<root>/store/<kind>/<hash>/                an artifact (see artifact.py)
<root>/store/<kind>/<hash>.unfinished/     the checkpoint of one that is being made, and on what; why it failed
<root>/store/<kind>/<hash>.damaged-1/      one that was set aside: its checksum did not hold
<root>/store/<kind>/<hash>.stale-1/        one that was set aside: made from other images or parents, by other libraries
<root>/store/locks/                        who is making what
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open

from repro.data.fingerprint import fingerprint
from repro.errors import StoreError, TrainingError
from repro.files import write_aside, write_text
from repro.progress import say
from repro.study.artifact import (
    ABOUT,
    Artifact,
    DamagedError,
    Keyed,
    check_tensors,
    read_about,
    read_tensors,
    write_artifact,
)
from repro.study.freshness import conditions_now, other_code, why_stale
from repro.study.locks import Lock
from repro.study.provenance import code_version, made_here

CHECKPOINT = "checkpoint.safetensors"
FAILED = "failed.json"
PARENTS = "parents.json"  # of an unfinished one: what it was begun on
HASH = re.compile(r"[0-9a-f]{16}")
K = TypeVar("K", bound=Keyed)


class Store:
    """Artifacts below ``<root>/store``; ``root`` also holds the images that they rest on."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.folder = self.root / "store"
        self._images: dict[Any, str | None] = {}
        self._warned: set[str] = set()
        self._held: set[str] = set()  # hashes of what this process holds the locks of, to make it together
        code_version()

    def path(self, key: Keyed) -> Path:
        """The folder of a finished artifact."""
        return self.folder / key.kind / key.hash

    def unfinished(self, key: Keyed) -> Path:
        """The folder of one that is being made."""
        return self.folder / key.kind / f"{key.hash}.unfinished"

    def lock(self, key: Keyed) -> Lock:
        """The lock that its maker holds."""
        return Lock(self.folder / "locks" / f"{key.kind}-{key.hash}", key.label)

    def has(self, key: Keyed) -> bool:
        """Whether the artifact is there, finished."""
        return (self.path(key) / ABOUT).exists()

    def load(self, key: Keyed) -> Artifact:
        """Read a finished artifact; :class:`StoreError` names the folder if it cannot be read or is not whole."""
        try:
            return self._read(key)[0]
        except (DamagedError, OSError) as error:
            raise StoreError(
                f"the {key.label} in {self.path(key)} cannot be read ({error}); run again to make it anew"
            ) from error

    def keep(self, key: Keyed, make: Callable[[Path], Artifact], device: torch.device) -> tuple[Artifact, bool]:
        """The artifact, and whether it was found; if it is absent, damaged or stale it is made by ``make(checkpoint)``.

        One process makes it while others wait. ``checkpoint`` is the file in which training keeps its
        state; it goes when the artifact is whole. What is damaged or stale is set aside, never deleted.
        A :class:`TrainingError` of ``make`` leaves its sentence in the unfinished folder.
        """
        while True:
            artifact, _ = self._find(key)
            if artifact:
                return artifact, True
            lock = self.lock(key).held(done=lambda: self.has(key) and self._find(key)[0] is not None)
            with nullcontext(True) if key.hash in self._held else lock as mine:
                if not mine:
                    continue
                artifact, why = self._find(key)  # somebody may have made it while this one waited
                if artifact:
                    return artifact, True
                if why:
                    self._set_aside(key, *why)
                return self._make(key, make, device), False

    @contextmanager
    def making(self, keys: Sequence[Keyed]) -> Iterator[dict[str, Path]]:
        """The right to train several artifacts together: hash -> checkpoint of those that are not there.

        Only of those that nobody is making. The block gives each to :meth:`keep`; those of which it does not are let
        go unfinished.
        """
        with ExitStack() as held:
            missing = {}
            for key in keys:
                if not self.has(key) and held.enter_context(self.lock(key).held(wait=False)) and not self.has(key):
                    missing[key.hash] = self.begin(key)
            self._held |= missing.keys()
            held.callback(self._held.difference_update, missing)
            yield missing

    def find(
        self, key: Keyed, parents: Mapping[str, str] | None = None
    ) -> tuple[dict[str, Any] | None, tuple[str, str] | None]:
        """The description of an artifact that can be used; else, if something is there, its state and what is wrong.

        Args:
            key: Which one.
            parents: ``kind/key`` -> checksum of the artifacts that it would be made from now; :data:`None` of nothing.
        """
        if not self.path(key).exists():
            return None, None
        try:
            about = self._about(key)
            check_tensors(self.path(key), about)
        except DamagedError as error:
            return None, ("damaged", str(error))
        except OSError as error:  # a disk or a network that does not answer says nothing of the artifact
            raise StoreError(f"the {key.label} in {self.path(key)} cannot be read: {error}; try again") from error
        if why := why_stale(about, self.images(key), parents):
            return None, ("stale", why)
        return about, None

    @contextmanager
    def claim(self, keys: Sequence[K], parents: Callable[[K], Mapping[str, str]]) -> Iterator[list[K]]:
        """Those of several artifacts that are this process's to make, until the block ends: absent, and not in work.

        Where others are making all of them it waits for the first. What is damaged or stale is set aside, never
        deleted; so is the checkpoint of a training that was begun on other parents.
        """
        with ExitStack() as held:
            mine = [key for key in keys if held.enter_context(self.lock(key).held(wait=False))]
            if not mine:
                first = keys[0]

                def done() -> bool:
                    return self.has(first) and self.find(first, parents(first))[0] is not None

                mine = [first] if held.enter_context(self.lock(first).held(done)) else []
            missing = []
            for key in mine:
                about, why = self.find(key, parents(key))
                if about is None:
                    if why:
                        self._set_aside(key, *why)
                    self.begin(key, parents(key))
                    missing.append(key)
            yield missing

    def write(
        self, key: Keyed, artifact: Artifact, parents: Mapping[str, str], device: torch.device, seconds: float
    ) -> dict[str, Any]:
        """Put an artifact that was claimed in its place; returns its description.

        Args:
            key: Which one.
            artifact: Its tensors, metrics and history.
            parents: ``kind/key`` -> checksum of what it was made from.
            device: Where it was made.
            seconds: How long that took; of a training, at least the sum of its epochs.

        Raises:
            TrainingError: If a tensor holds numbers that are not finite.
            StoreError: If it cannot be written.
        """
        if name := artifact.not_finite():
            raise TrainingError(f"{key.label}: {name} holds numbers that are not finite; lower the learning rate")
        seconds = max(seconds, sum(entry[2] for entry in artifact.history))  # those before a stop count as well
        artifact = Artifact(artifact.tensors, artifact.metrics, artifact.history, made_here(device, seconds))
        try:
            with write_aside(self.path(key)) as aside:
                aside.mkdir()
                write_artifact(aside, key, artifact, conditions_now(key.kind, self.images(key), parents))
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"the {key.label} cannot be written to {self.folder} ({error}); "
                "free some space or choose another root; what was trained so far is kept"
            ) from error
        shutil.rmtree(self.unfinished(key), ignore_errors=True)
        return self._about(key)

    def fail(self, key: Keyed, why: TrainingError, device: torch.device) -> None:
        """Leave in the unfinished folder why a training went wrong."""
        write_text(self.unfinished(key) / FAILED, json.dumps({"why": str(why), **made_here(device, 0)}, indent=1))

    def _about(self, key: Keyed) -> dict[str, Any]:
        about = read_about(self.path(key))
        if (about["kind"], about["hash"]) != (key.kind, key.hash):
            raise DamagedError(f"it is {about['label']}, under another's name")
        return about

    def _read(self, key: Keyed) -> tuple[Artifact, dict[str, Any]]:
        about = self._about(key)
        return Artifact(read_tensors(self.path(key), about), about["metrics"], about["history"], about["made"]), about

    def _find(self, key: Keyed) -> tuple[Artifact | None, tuple[str, str] | None]:
        """The artifact if it is there and can be used; else, if something is there, what it is and why it cannot."""
        if not self.path(key).exists():
            return None, None
        try:
            artifact, about = self._read(key)
        except DamagedError as error:
            return None, ("damaged", str(error))
        except OSError as error:  # a disk or a network that does not answer says nothing of the artifact
            raise StoreError(f"the {key.label} in {self.path(key)} cannot be read: {error}; try again") from error
        if why := why_stale(about, self.images(key)):
            return None, ("stale", why)
        if other_code(about) and key.kind not in self._warned:
            self._warned.add(key.kind)
            say(f"{key.label}: made by other code of the same revision ({about['made'].get('code')}); taken as it is")
        return artifact, None

    def images(self, key: Keyed) -> str | None:
        """The fingerprint of the images that an artifact rests on; None where none, or not here."""
        if key.images not in self._images or self._images[key.images] is None:
            found = [fingerprint(part, self.root) for part in key.images]
            self._images[key.images] = None if None in found or not found else "-".join(map(str, found))
        return self._images[key.images]

    def _set_aside(self, key: Keyed, state: str, why: str) -> None:
        number = 1
        while (aside := self.path(key).with_name(f"{key.hash}.{state}-{number}")).exists():
            number += 1
        try:
            self.path(key).rename(aside)
        except OSError as error:
            raise StoreError(f"{self.path(key)} is {state} ({why}) and cannot be set aside: {error}") from error
        say(f"{key.label} is {state}: {why}; set aside as {key.kind}/{aside.name}, and made again")

    def _make(self, key: Keyed, make: Callable[[Path], Artifact], device: torch.device) -> Artifact:
        checkpoint = self.begin(key)
        began = time.monotonic()
        try:
            artifact = make(checkpoint)
            if name := artifact.not_finite():
                raise TrainingError(f"{key.label}: {name} holds numbers that are not finite; lower the learning rate")
        except TrainingError as error:
            write_text(checkpoint.with_name(FAILED), json.dumps({"why": str(error), **made_here(device, 0)}, indent=1))
            raise
        trained = sum(entry[2] for entry in artifact.history)  # counts epochs done before a stop as well
        seconds = max(time.monotonic() - began, trained)
        artifact = Artifact(artifact.tensors, artifact.metrics, artifact.history, made_here(device, seconds))
        try:
            with write_aside(self.path(key)) as aside:
                aside.mkdir()
                write_artifact(aside, key, artifact, conditions_now(key.kind, self.images(key)))
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"the {key.label} cannot be written to {self.folder} ({error}); "
                "free some space or choose another root; what was trained so far is kept"
            ) from error
        shutil.rmtree(self.unfinished(key), ignore_errors=True)
        return artifact

    def begin(self, key: Keyed, parents: Mapping[str, str] | None = None) -> Path:
        """Make the folder of an artifact that is not there yet; returns the place of its checkpoint."""
        unfinished = self.unfinished(key)
        try:
            for left in self.path(key).parent.glob(f".{key.hash}.*"):  # of a maker that died while it wrote
                shutil.rmtree(left, ignore_errors=True)
            unfinished.mkdir(parents=True, exist_ok=True)
            (unfinished / FAILED).unlink(missing_ok=True)
            self._check_begun(key, parents or {})
            write_text(unfinished / "label.txt", key.label)
        except OSError as error:
            raise StoreError(
                f"the store cannot be written: {error}; choose another folder with the parameter root"
            ) from error
        return unfinished / CHECKPOINT

    def _check_begun(self, key: Keyed, parents: Mapping[str, str]) -> None:
        """A checkpoint that was begun on other parents than these is set aside: it would go on to a mixture of both."""
        begun = self.unfinished(key) / PARENTS
        checkpoint = begun.with_name(CHECKPOINT)
        if checkpoint.exists() and begun.exists() and json.loads(_text(begun) or "{}") != parents:
            checkpoint.replace(begun.with_name(f"stale-{CHECKPOINT}"))
            say(f"{key.label}: what it was begun on was made anew; it begins again")
        write_text(begun, json.dumps(dict(parents)))

    def finished(self) -> Iterator[dict[str, Any]]:
        """The description of every finished artifact, with its ``bytes`` on disk; damaged ones are left out."""
        for about in sorted(self.folder.glob(f"*/*/{ABOUT}")):
            if HASH.fullmatch(about.parent.name):
                try:
                    size = sum(f.stat().st_size for f in about.parent.iterdir())
                    yield {**read_about(about.parent), "bytes": size}
                except (DamagedError, OSError):
                    continue

    def half_done(self) -> Iterator[dict[str, Any]]:
        """Every unfinished artifact: kind, hash, label, epochs done, and ``failed``: why, or None."""
        for folder in sorted(self.folder.glob("*/*.unfinished")):
            yield {
                "kind": folder.parent.name,
                "hash": folder.name.removesuffix(".unfinished"),
                "label": _text(folder / "label.txt"),
                "epochs_done": len(_history(folder)),
                "failed": _why_failed(folder / FAILED),
            }

    def begun(self, key: Keyed) -> list[list[float]]:
        """The epochs, as in :class:`Artifact`, of one that is not finished; empty if none is over."""
        return _history(self.unfinished(key))

    def set_aside(self) -> list[Path]:
        """Folders of artifacts that were set aside."""
        return sorted(p for p in self.folder.glob("*/*") if re.fullmatch(r"[0-9a-f]{16}\.(damaged|stale)-\d+", p.name))


def _history(folder: Path) -> list[list[float]]:
    try:
        with safe_open(folder / CHECKPOINT, "pt") as file:
            found: list[list[float]] = json.loads(file.metadata()["history"])
            return found
    except (OSError, SafetensorError):  # stopped before its first epoch was over
        return []


def _why_failed(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["why"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return f"{path.name} cannot be read"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
