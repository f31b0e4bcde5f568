"""Files and folders that are whole or absent: write aside, flush to disk, rename into place."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path


def sync(path: Path) -> None:
    """Flush a file, or a folder's own entries (the names in it; needed after a rename), to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it replaces ``path``, on error it is removed.

    The caller may write the temporary path as a file or make a folder of it. A folder never
    replaces one that stands: whoever came first wins, and the loser's copy is dropped.
    Whoever may read a new file there may read these, too: safetensors makes files for their owner alone.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside_root = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    aside = aside_root / path.name
    try:
        yield aside
        (new := aside_root / f"{path.name}.new").touch()
        mode = stat.S_IMODE(new.stat().st_mode)
        for each in [aside] if aside.is_file() else [*aside.rglob("*"), aside]:  # names in a folder included
            if each.is_file() and stat.S_IMODE(each.stat().st_mode) != mode:
                each.chmod(mode)
            sync(each)
        if aside.is_dir() and path.is_dir():
            return
        os.replace(aside, path)
        sync(path.parent)
    finally:
        shutil.rmtree(aside_root, ignore_errors=True)


def free_name(path: Path, state: str) -> Path:
    """``<name>.<state>-1`` beside a path, or the first higher number that is free."""
    return next(p for n in count(1) if not (p := path.with_name(f"{path.name}.{state}-{n}")).exists())


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``, whole or not at all."""
    with write_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")
