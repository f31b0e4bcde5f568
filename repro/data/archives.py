"""Getting the official archives, checking them, and unpacking them.

What is downloaded or unpacked appears under its name whole or not at all, and what is damaged is set aside.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tarfile
import urllib.request
import zipfile
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from repro.errors import DataError
from repro.files import free_name, write_aside
from repro.progress import say

TIMEOUT = 60.0  # seconds without a byte


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


def verify(path: Path, md5: str) -> None:
    """``DataError`` unless the file has the expected digest."""
    if (actual := checksum(path)) != md5:
        raise DataError(
            f"{path} is not the official file: its md5 is {actual}, not {md5}; "
            "`repro data fetch` with the name of its set moves it aside and gets a whole one"
        )


def download(url: str, path: Path, md5: str) -> None:
    """Fetch ``url`` into ``path``, with progress on stderr; checked before it takes its name.

    Raises:
        DataError: If the address cannot be reached, what it sent is not the official file, or the disk cannot take
            it; then ``path`` is as it was before.
    """
    try:
        with write_aside(path) as aside:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as response, open(aside, "wb") as file:
                total = int(response.headers.get("Content-Length") or 0) or None
                with tqdm.wrapattr(response, "read", total, desc=path.name, file=sys.stderr) as source:
                    shutil.copyfileobj(source, file, 1 << 20)
            if (actual := checksum(aside)) != md5:
                raise DataError(f"{url} sent a file whose md5 is {actual}, not {md5}; nothing was kept, try again")
    except (OSError, HTTPException) as error:  # urllib's own errors are OSErrors
        host = urlsplit(url).netloc or url
        raise DataError(
            f"cannot fetch {url}: {error}; "
            f"check the network, or get {path.name} from {host} by hand and put it at {path}"
        ) from error


def fetch_and_unpack(url: str, archive: Path, md5: str, folder: Path) -> None:
    """Have ``folder`` stand as the official archive holds it; what stands there is moved aside, and nothing deleted.

    An archive that is here already is used if it is whole, and moved aside if not. ``DataError`` as for ``download``
    and ``unpack``.
    """
    if archive.is_file() and checksum(archive) != md5:
        move_aside(archive)
    if not archive.is_file():
        download(url, archive, md5)
    if folder.exists():
        move_aside(folder)
    unpack(archive, folder, md5)


def move_aside(path: Path) -> None:
    """Rename what is damaged to ``<name>.damaged-<n>``, and say so."""
    place = free_name(path, "damaged")
    path.rename(place)
    say(f"{path} is damaged or not whole: moved to {place}, which may be deleted")


def unpack(archive: Path, folder: Path, md5: str) -> None:
    """Unpack the official zip or tar so that its content stands as ``folder``.

    Its checksum is what it is trusted for; even so, nothing is written outside ``folder``, and no device is made. An
    archive that holds nothing but one folder of that name (as the official ones do) becomes that folder, not a folder
    within it. Where ``folder`` stands already it is left as it is.

    Raises:
        DataError: If the archive is not the official one or leads outside, or the disk cannot take it; then nothing of
            it is left.
    """
    verify(archive, md5)
    try:
        with write_aside(folder) as aside:
            within = aside.with_name(aside.name + ".unpacked")
            within.mkdir()
            print(f"unpacking {archive.name}", file=sys.stderr)
            if zipfile.is_zipfile(archive):
                with zipfile.ZipFile(archive) as opened:
                    opened.extractall(within)  # which drops drives, leading slashes and ..
            else:
                with tarfile.open(archive) as tar:
                    tar.extractall(within, filter="data")
            only = list(within.iterdir())
            nested = len(only) == 1 and only[0].is_dir() and only[0].name == folder.name
            (only[0] if nested else within).rename(aside)
    except (OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}") from error
