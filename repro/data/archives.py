"""Getting the official archives, checking them, and unpacking them without trusting them.

What is downloaded or unpacked appears under its name whole or not at all.
"""

from __future__ import annotations

import hashlib
import lzma
import shutil
import stat
import sys
import tarfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from itertools import count
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import urlsplit

from tqdm import tqdm

from repro.errors import DataError
from repro.files import write_aside
from repro.progress import say

GIB = 1 << 30
# What an archive may unpack to, in bytes: nothing above the first; above the second only at a modest ratio.
MAX_TOTAL = 20 * GIB
MAX_TOTAL_AT_ANY_RATIO = GIB
MAX_RATIO = 200
CHUNK = 1 << 20
TIMEOUT = 60.0


def missing(name: str, root: Path, path: Path) -> DataError:
    """The error that says that the set ``name`` is not laid out under ``root``, for want of ``path``."""
    return DataError(
        f"{name} is not in {root}: {path} is missing; "
        f"run `repro data fetch {name}`, or lay out the official files there"
    )


def checksum(path: Path, algorithm: str = "md5") -> str:
    """The hexadecimal digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def verify(path: Path, expected: str, algorithm: str = "md5") -> None:
    """``DataError`` unless the file has the expected digest."""
    found = checksum(path, algorithm)
    if found != expected:
        raise DataError(
            f"{path} is not the official file: its {algorithm} is {found}, not {expected}; "
            "`repro data fetch` with the name of its set moves it aside and gets a whole one"
        )


def download(
    url: str, path: Path, *, md5: str | None = None, sha256: str | None = None, size: int | None = None
) -> None:
    """Fetch ``url`` into ``path``, with progress on stderr; checked before it takes its name.

    ``size`` is the length in bytes. ``DataError`` when the address cannot be reached, the connection
    breaks, the length or a checksum is not the expected one, or the disk cannot take it; then
    ``path`` is as it was before.
    """
    path = Path(path)
    try:
        with write_aside(path) as aside:
            _stream(url, aside, path.name, size)
            _check_download(url, aside, size, {"md5": md5, "sha256": sha256})
    except (OSError, HTTPException) as error:  # urllib's own errors are OSErrors
        host = urlsplit(url).netloc or url
        raise DataError(
            f"cannot fetch {url}: {error}; "
            f"check the network, or get {path.name} from {host} by hand and put it at {path}"
        ) from error


def _check_download(url: str, received: Path, size: int | None, digests: dict[str, str | None]) -> None:
    found = received.stat().st_size
    if size is not None and found != size:
        raise DataError(f"{url} sent {found} bytes instead of {size}; nothing was kept, try again")
    for algorithm, expected in digests.items():
        actual = checksum(received, algorithm) if expected is not None else None
        if actual != expected:
            raise DataError(
                f"{url} sent a file whose {algorithm} is {actual}, not {expected}; nothing was kept, try again"
            )


def _stream(url: str, target: Path, label: str, size: int | None) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response, open(target, "wb") as file:
        announced = response.headers.get("Content-Length")
        total = int(announced) if announced is not None and announced.isdigit() else size
        received = 0
        with tqdm(total=total, desc=label, unit="B", unit_scale=True, file=sys.stderr) as bar:
            while block := response.read(CHUNK):
                file.write(block)
                bar.update(len(block))
                received += len(block)
                if size is not None and received > size:
                    return  # longer than promised: the caller says so
        if total is not None and received < total:
            raise OSError(f"the connection broke after {received} of {total} bytes")


@dataclass(frozen=True)
class _Entry:
    """One thing in an archive: a folder, a regular file with its size in bytes, or something refused."""

    name: str
    kind: str
    size: int
    open: Callable[[], IO[bytes] | None]


def fetch_and_unpack(url: str, archive: Path, md5: str, folder: Path) -> None:
    """Have ``folder`` stand as the official archive holds it; what stands there is moved aside, and nothing deleted.

    An archive that is here already is used if it is whole, and moved aside if not. ``DataError`` as for ``download``
    and ``unpack``.
    """
    if archive.is_file() and checksum(archive) != md5:
        move_aside(archive)
    if not archive.is_file():
        download(url, archive, md5=md5)
    if folder.exists():
        move_aside(folder)
    unpack(archive, folder)


def move_aside(path: Path) -> None:
    """Rename what is damaged to ``<name>.damaged-<n>``, and say so."""
    place = next(p for n in count(1) if not (p := path.with_name(f"{path.name}.damaged-{n}")).exists())
    path.rename(place)
    say(f"{path} is damaged or not whole: moved to {place}, which may be deleted")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar (plain, .gz, .bz2, .xz) so that its content stands as ``folder``.

    An archive that holds nothing but one folder of that name (as the official ones do) becomes that
    folder, not a folder within it. Only regular files and folders are taken, below ``folder``;
    absolute names, ``..``, links, devices and absurd expansion are refused. ``DataError`` for those,
    for a damaged archive and for a full disk; then nothing of it is left.
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists():
        raise DataError(f"{folder} stands already; move it away to unpack {archive} there")
    if not archive.is_file():
        raise DataError(f"{archive} is missing")
    # RuntimeError is zipfile's for an encrypted member or an unknown compression.
    damaged = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError)
    try:
        with write_aside(folder) as aside:
            within = aside.with_name(aside.name + ".unpacked")
            within.mkdir()
            _write_entries(_entries(archive), within, archive)
            only = list(within.iterdir())
            nested = len(only) == 1 and only[0].is_dir() and only[0].name == folder.name
            (only[0] if nested else within).rename(aside)
    except damaged as error:
        raise DataError(
            f"{archive} cannot be unpacked ({error}); if it is damaged, `repro data fetch` gets a whole one"
        ) from error


def _write_entries(entries: Iterator[_Entry], within: Path, archive: Path) -> None:
    total, packed = 0, archive.stat().st_size
    for entry in tqdm(entries, desc=f"unpacking {archive.name}", unit=" files", file=sys.stderr, mininterval=1.0):
        target = within / _safe_name(entry.name, archive)
        if entry.kind == "folder":
            target.mkdir(parents=True, exist_ok=True)
            continue
        if entry.kind != "file":
            raise DataError(f"{archive} is refused: {entry.name} is a {entry.kind}, not a file or a folder")
        total += entry.size
        if total > MAX_TOTAL or (total > MAX_TOTAL_AT_ANY_RATIO and total > MAX_RATIO * packed):
            raise DataError(f"{archive} is refused: its {packed} bytes would unpack to {total} or more")
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "xb") as file:  # x: a name that comes twice is an error
            source = entry.open()
            if source is not None:
                with source:
                    shutil.copyfileobj(source, file, CHUNK)
            if file.tell() != entry.size:
                raise EOFError(f"{entry.name} ends after {file.tell()} of {entry.size} bytes")


def _safe_name(name: str, archive: Path) -> PurePosixPath:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or any(sign in name for sign in "\\:\0"):
        raise DataError(f"{archive} is refused: it would write outside its folder, at {name!r}")
    return path


def _entries(archive: Path) -> Iterator[_Entry]:
    """What the archive lists, in its order; a tar is read once, front to back."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                yield _Entry(info.filename, _zip_kind(info), info.file_size, partial(opened.open, info))
        return
    if not tarfile.is_tarfile(archive):
        raise OSError("it is not a zip or tar file, or its end is missing")
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            kind = "folder" if member.isdir() else "file" if member.isreg() else "link or device"
            yield _Entry(member.name, kind, member.size, partial(tar.extractfile, member))
        _read_to_the_end(tar)


def _read_to_the_end(tar: tarfile.TarFile) -> None:
    """Compressed archives have their checksum at the very end, behind where a tar reader stops."""
    rest = 0
    while tar.fileobj is not None and (block := tar.fileobj.read(CHUNK)):
        rest += len(block)
        if rest > MAX_TOTAL_AT_ANY_RATIO:
            raise OSError("there is more behind its end than there can be")


def _zip_kind(info: zipfile.ZipInfo) -> str:
    mode = stat.S_IFMT(info.external_attr >> 16)
    if info.is_dir():
        return "folder"
    return "file" if mode in (0, stat.S_IFREG) else "link or device"
