"""``repro doctor``: is this installation, and this store, in order? Every finding says what to do about it.

What is half-done and what failed is no disorder: ``repro status`` lists it.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from repro.data.catalogue import DATASETS, check_sums, status
from repro.files import write_text
from repro.study.artifact import read_tensors, why_stale
from repro.study.contents import DamagedError, checksum_of, read_about
from repro.study.locks import alive, read_holder
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
    """Versions, code, devices."""
    text = ", ".join(f"{name} {version}" for name, version in library_versions().items())
    yield Finding("versions", "wrong", text, "run `uv sync`") if "unknown" in text else Finding("versions", "ok", text)
    yield Finding("code", "ok", code_version())
    device = pick_device()
    cores = f"{os.cpu_count()} cores, {torch.cuda.device_count()} GPUs"
    yield Finding("device", "ok", f"{device.type}: {hardware(device)}, {precision(device)}; {cores}")


def images(root: Path) -> Iterator[Finding]:
    """Which image sets are here, and whether their checksums hold; images are not decoded (``data check`` does)."""
    for name in DATASETS:
        current = status(name, root)
        if current.state == "absent":
            yield Finding(name, "note", "not here", f"if it is wanted: `repro data fetch {name}`")
        elif wrong := [*current.missing, *(check_sums(name, root) if current.state == "present" else ())]:
            yield Finding(name, "wrong", "; ".join(wrong), f"run `repro data fetch {name}`")
        else:
            yield Finding(name, "ok", "here" if name in ("modes", "imagenet") else "here, checksums hold")


def folder(root: Path) -> Iterator[Finding]:
    """Whether the root can be written, and how much space it has."""
    here = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists())  # made by a run
    probe = here / f".doctor-{platform.node()}-{os.getpid()}"
    try:
        write_text(probe, "")
        probe.unlink()
    except OSError as error:
        text = f"{root} cannot be written: {error}"
        yield Finding("folder", "wrong", text, "choose another: --root, or the parameter root")
        return
    free = shutil.disk_usage(here).free
    text = f"{root}, {free / 1e9:.1f} GB free"
    if free < LITTLE_SPACE:
        yield Finding("folder", "wrong", text, f"free some space: a study takes up to {LITTLE_SPACE / 1e9:.0f} GB")
    else:
        yield Finding("folder", "ok", text)


def artifacts(store: Store) -> Iterator[Finding]:
    """Whether every artifact is whole and fresh."""
    again = "nothing: the next run that needs it sets it aside and makes it again"
    whole = 0
    standing = {f"{about['kind']}/{about['hash']}": checksum_of(about) for about in store.finished()}
    for path in store.folders():
        name = f"{path.parent.name}/{path.name}"
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
        yield Finding(
            f"{path.parent.name}/{path.name}", "note", "set aside", "delete it when nobody wants to look at it"
        )


def locks(store: Store) -> Iterator[Finding]:
    """Who is making what, and whether they live."""
    for path in sorted((store.folder / "locks").glob("*.*")):
        if holder := read_holder(path):  # None where it has just been given back
            if alive(holder) is False:
                yield Finding(f"lock {path.name}", "note", f"of {holder}; gone", "nothing: the next run takes it over")
            else:
                yield Finding(f"lock {path.name}", "ok", f"held by {holder}")
