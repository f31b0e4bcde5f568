"""Put what :mod:`repro.study.pack` packed in its place: whole, checked, and never over something else."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from shutil import copyfileobj
from typing import IO

from repro.data.archives import checksum
from repro.errors import StoreError
from repro.files import write_aside
from repro.study.artifact import ABOUT, WEIGHTS, DamagedError, read_about, read_tensors
from repro.study.pack import PART, Manifest, Packed, read_manifest

# The only names that are ever written: nothing that a stream calls itself can lead out of the root.
RESULT = re.compile(r"results/([\w-]+\.json)")
ARTIFACT = re.compile(r"store/([a-z][a-z-]*/[0-9a-f]{16})/(.+)")


def unpack(files: Sequence[Path], root: Path) -> Iterator[str]:
    """Unpack packs (each by its NAME.json, or by any of its parts) below ``root``; says of each what was done.

    What is there already is left as it is, so the same call twice does nothing new. :class:`StoreError`, before
    anything is written: parts are missing or damaged, or something else stands in a place.
    """
    lists = dict.fromkeys(_list_of(path) for path in files)
    packs = [(place, read_manifest(place)) for place in lists]
    for place, manifest in packs:
        _check_parts(place, manifest)
    for _, manifest in packs:
        _check_places(manifest, root)
    for place, manifest in packs:
        try:
            results, artifacts = _extract(place, manifest, root)
        except (tarfile.TarError, EOFError, DamagedError, OSError, ValueError) as error:
            raise StoreError(f"{place} cannot be unpacked: {error}; pack it again") from error
        here = len(manifest.results) + len(manifest.artifacts) - results - artifacts
        yield f"{place.name}: {results} results and {artifacts} artifacts put in {root}; {here} were there already"


def _list_of(path: Path) -> Path:
    return path.with_suffix(".json") if re.fullmatch(PART, path.name) else path


def _check_parts(place: Path, manifest: Manifest) -> None:
    missing = [part.name for part in manifest.parts if not (place.parent / part.name).is_file()]
    if missing:
        raise StoreError(
            f"{place.name}: {len(missing)} of {len(manifest.parts)} parts are missing from {place.parent}: "
            + ", ".join(missing)
        )
    damaged = [part.name for part in manifest.parts if checksum(place.parent / part.name, "sha256") != part.sha256]
    if damaged:
        raise StoreError(f"{place.name}: the checksums of {', '.join(damaged)} do not hold; move them again")


def _check_places(manifest: Manifest, root: Path) -> None:
    other = [f"results/{n}" for n, sha in manifest.results.items() if not _same_result(root / "results" / n, sha)]
    other += [f"store/{n}" for n, packed in manifest.artifacts.items() if not _same(root / "store" / n, packed)]
    if other:
        more = f" and {len(other) - 3} more" if len(other) > 3 else ""
        raise StoreError(
            f"{root} holds something else in the place of {', '.join(other[:3])}{more}; nothing was unpacked: "
            "choose another --root, or move those away"
        )


def _same_result(path: Path, sha256: str) -> bool:
    """Whether a result may be put there: nothing stands there, or the same."""
    return not path.exists() or checksum(path, "sha256") == sha256


def _same(folder: Path, packed: Packed) -> bool:
    """The same of an artifact, which is itself whether it was rounded or not."""
    if not folder.exists():
        return True
    try:
        about = read_about(folder)
    except DamagedError:
        return False
    rounded_from = (about.get("rounded") or {}).get("from_sha256")
    here = {about.get("weights_sha256") or checksum(folder / WEIGHTS, "sha256"), rounded_from}
    return bool(here & {packed.weights_sha256, packed.rounded_from} - {None})


def _extract(place: Path, manifest: Manifest, root: Path) -> tuple[int, int]:
    """Numbers of results and of artifacts that were put in their places."""
    results = artifacts = 0
    about = ("", b"")  # of which artifact, and its description, which comes before its weights
    with (
        _Joined([place.parent / part.name for part in manifest.parts]) as stream,
        tarfile.open(fileobj=stream, mode="r|gz") as tar,  # type: ignore[call-overload]
    ):
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            result, artifact = RESULT.fullmatch(member.name), ARTIFACT.fullmatch(member.name)
            if content and result and result[1] in manifest.results:
                results += _put_result(root / "results" / result[1], content)
            elif content and artifact and artifact[1] in manifest.artifacts and artifact[2] == ABOUT:
                about = (artifact[1], content.read())
            elif content and artifact and artifact[2] == WEIGHTS and about[0] == artifact[1]:
                artifacts += _put_artifact(root / "store" / artifact[1], about[1], content)
            else:
                raise DamagedError(f"it holds {member.name!r}, which has no place in a store")
    return results, artifacts


def _put_result(path: Path, content: IO[bytes]) -> bool:
    if path.exists():
        return False
    with write_aside(path) as aside:
        aside.write_bytes(content.read())
    return True


def _put_artifact(folder: Path, about: bytes, weights: IO[bytes]) -> bool:
    if folder.exists():
        return False
    with write_aside(folder) as aside:
        aside.mkdir()
        (aside / ABOUT).write_bytes(about)
        with (aside / WEIGHTS).open("wb") as file:
            copyfileobj(weights, file)
        told = read_about(aside)
        if f"{told['kind']}/{told['hash']}" != f"{folder.parent.name}/{folder.name}":
            raise DamagedError(f"it is {told['label']}, under another's name")
        read_tensors(aside, told)
    return True


class _Joined:
    """Files read one after another, as one."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._waiting = list(paths)
        self._file: IO[bytes] | None = None

    def read(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            if self._file is None:
                if not self._waiting:
                    break
                self._file = self._waiting.pop(0).open("rb")
            block = self._file.read(size - len(found))
            found += block
            if not block:
                self._file.close()
                self._file = None
        return found

    def __enter__(self) -> _Joined:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._file is not None:
            self._file.close()
