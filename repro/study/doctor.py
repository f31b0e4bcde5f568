"""``repro doctor``: is this installation, and this store, in order? Every finding says what to do about it.

What is half-done and what failed is no disorder: ``repro status`` lists it.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from repro.data.catalogue import DATASETS, check_sums, status
from repro.files import write_text
from repro.progress import duration
from repro.study.artifact import read_tensors, why_stale
from repro.study.contents import DamagedError, checksum_of, read_about
from repro.study.executors import PACKAGES
from repro.study.locks import LEASE, alive, read_holder
from repro.study.provenance import code_version, library_versions
from repro.study.store import Store
from repro.training.device import hardware, pick_device, precision

LITTLE_SPACE = 2e9  # bytes: what a laptop study and its notebooks take


class Finding(NamedTuple):
    """state: ``ok``, ``note`` (good to know) or ``wrong``; what was found; what to do about it, if anything."""

    about: str
    state: Literal["ok", "note", "wrong"]
    found: str
    do: str = ""

    def __str__(self) -> str:
        mark = "WRONG" if self.state == "wrong" else self.state
        return f"{mark:5} {self.about}: {self.found}" + (f" -> {self.do}" if self.do else "")


def findings(root: Path) -> Iterator[Finding]:
    """Everything that can be said of the installation and of ``root`` without training, in order."""
    yield from installation()
    yield from images(root)
    yield from folder(root)
    store = Store(root)
    yield from artifacts(store)
    yield from locks(store)


def installation() -> Iterator[Finding]:
    """Versions, code, devices, executors."""
    text = ", ".join(f"{name} {version}" for name, version in library_versions().items())
    if "unknown" in text:
        yield Finding("versions", "wrong", text, "run `uv sync`")
    else:
        yield Finding("versions", "ok", text)
    yield Finding("code", "ok", code_version())
    device = pick_device()
    yield Finding(
        "device", "ok",
        f"{device.type}: {hardware(device)}, {precision(device)}; {os.cpu_count()} cores, "
        f"{torch.cuda.device_count()} GPUs",
    )  # fmt: skip
    for package, extra in PACKAGES.items():
        if find_spec(package):
            yield Finding("executors", "ok", f"{package} is installed")
        else:
            yield Finding("executors", "note", f"{package} is not installed", f"to use it: `uv sync --extra {extra}`")


def images(root: Path) -> Iterator[Finding]:
    """Which image sets are here, and whether their checksums hold; images are not decoded (``data check`` does)."""
    for name in DATASETS:
        current = status(name, root)
        if current.state == "absent":
            yield Finding(name, "note", "not here", f"if it is wanted: `repro data fetch {name}`")
        elif current.state == "partial":
            yield Finding(name, "wrong", "; ".join(current.missing), f"run `repro data fetch {name}`")
        else:
            try:
                wrong = check_sums(name, root)
            except OSError as error:
                wrong = [str(error)]
            for sentence in wrong:
                yield Finding(name, "wrong", sentence, f"run `repro data fetch {name}`")
            if not wrong:
                yield Finding(name, "ok", "here" if name in ("modes", "imagenet") else "here, checksums hold")


def folder(root: Path) -> Iterator[Finding]:
    """Whether the root can be written, and how much space it has."""
    probe = Path(root) / f".doctor-{platform.node()}-{os.getpid()}"
    try:
        write_text(probe, "")
        probe.unlink()
    except OSError as error:
        text = f"{root} cannot be written: {error}"
        yield Finding("folder", "wrong", text, "choose another: --root, or the parameter root")
        return
    free = shutil.disk_usage(root).free
    text = f"{root}, {free / 1e9:.1f} GB free"
    if free < LITTLE_SPACE:
        yield Finding("folder", "wrong", text, f"free some space: a study takes up to {LITTLE_SPACE / 1e9:.0f} GB")
    else:
        yield Finding("folder", "ok", text)


def artifacts(store: Store) -> Iterator[Finding]:
    """Whether every artifact is whole and fresh."""
    whole = 0
    standing = {f"{about['kind']}/{about['hash']}": checksum_of(about) for about in store.finished()}
    for path in store.folders():
        name = f"{path.parent.name}/{path.name}"
        again = "nothing: the next run that needs it sets it aside and makes it again"
        try:
            about = read_about(path)
            read_tensors(path, about)
        except (DamagedError, OSError) as error:
            yield Finding(name, "wrong", f"damaged: {error}", again)
            continue
        if why := why_stale(about, standing):
            yield Finding(name, "note", f"stale: {why}", again)
        whole += 1
    yield Finding("artifacts", "ok", f"{whole} are whole")
    for path in store.set_aside():
        name = f"{path.parent.name}/{path.name}"
        yield Finding(name, "note", "set aside", "delete it when nobody wants to look at it")


def locks(store: Store) -> Iterator[Finding]:
    """Who is making what, and whether they live."""
    for path in sorted((store.folder / "locks").glob("*.*")):
        holder = read_holder(path)
        lives = alive(holder) if holder else None
        try:
            silent = time.time() - path.stat().st_mtime
        except FileNotFoundError:  # it has just been given back
            continue
        if lives is False or (lives is None and silent > LEASE):
            text = f"of {holder or 'nobody that can be read'}; gone for {duration(max(silent, 0))}"
            yield Finding(f"lock {path.name}", "note", text, "nothing: the next run takes it over")
        else:
            yield Finding(f"lock {path.name}", "ok", f"held by {holder or 'somebody'}")
