"""Stores that travel: results, outputs and weights in files of a given size, for a disk, a mail or a narrow line.

NAME.json               what is packed, its parts, and their checksums
NAME.001, NAME.002 ...  the parts: one compressed tar stream, cut

Outputs travel in half precision, which halves them: logits keep three digits. Their artifact says so, and from which
file they were rounded; its key is the same. Nothing is a pickle. ``repro.study.unpack`` is the way back.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import save
from torch import Tensor

from repro.data.archives import checksum
from repro.errors import SpecError, StoreError
from repro.files import write_text
from repro.study.artifact import ABOUT, WEIGHTS, DamagedError, digest, read_about, read_tensors
from repro.study.results import load_result
from repro.study.store import HASH, Store

ROUNDED = "predictions"  # what a model says, by the end of its kind: rounded to travel; all else are weights
PART = r"[\w.-]+\.\d{3}"
SMALLEST = 100_000  # bytes of a part


class Part(BaseModel):
    """One file of the stream."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=f"^{PART}$")
    bytes: int
    sha256: str


class Packed(BaseModel):
    """An artifact within: the checksum of its weights, and of those that they were rounded from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    weights_sha256: str
    rounded_from: str | None = None


class Manifest(BaseModel):
    """What is packed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parts: list[Part]
    results: dict[str, str] = Field(description="file name -> sha256")
    artifacts: dict[str, Packed] = Field(description="kind/hash -> which")


def pack(root: Path, out: Path, what: Iterable[str], max_bytes: int) -> Manifest:
    """Pack ``what`` (results, outputs, weights, or kinds of artifact) below ``root`` into ``out``.json and its parts.

    Raises :class:`SpecError` for what cannot be packed, :class:`StoreError` when an artifact is damaged, when there
    is nothing to pack, or when ``out`` is there already. The manifest is written last.
    """
    what = [name.strip() for name in what]
    kinds = _kinds(what, Store(root))
    if max_bytes < SMALLEST:
        raise SpecError(f"a part of {max_bytes} bytes is too small; take at least {SMALLEST / 1e6:g} MB")
    place = out.with_name(f"{out.name}.json")
    if place.exists():
        raise StoreError(f"{place} is there already; choose another name, or delete it and its parts")
    results = sorted((root / "results").glob("*.json")) if "results" in kinds else []
    folders = [folder for kind in kinds for folder in sorted((Store(root).folder / kind).glob("*"))]
    folders = [folder for folder in folders if HASH.fullmatch(folder.name)]
    if not results and not folders:
        raise StoreError(f"there is nothing to pack in {root}: none of {', '.join(what)}")
    checksums: dict[str, str] = {}
    artifacts: dict[str, Packed] = {}
    stream = _Parts(out, max_bytes)
    try:
        with tarfile.open(fileobj=stream, mode="w|gz") as tar:  # type: ignore[call-overload]
            for path in results:
                load_result(path)
                _add(tar, f"results/{path.name}", path.read_bytes())
                checksums[path.name] = checksum(path, "sha256")
            for folder in folders:
                name = f"{folder.parent.name}/{folder.name}"
                about, weights = _artifact(folder)
                _add(tar, f"store/{name}/{ABOUT}", json.dumps(about, indent=1, ensure_ascii=False).encode())
                _add(tar, f"store/{name}/{WEIGHTS}", weights)
                artifacts[name] = Packed(
                    label=about["label"], weights_sha256=about["weights_sha256"],
                    rounded_from=(about.get("rounded") or {}).get("from_sha256"),
                )  # fmt: skip
        stream.close()
        parts = [Part(name=p.name, bytes=p.stat().st_size, sha256=checksum(p, "sha256")) for p in stream.paths]
        manifest = Manifest(parts=parts, results=checksums, artifacts=artifacts)
        write_text(place, manifest.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise StoreError(f"{out} cannot be written: {error}") from error
    return manifest


def read_manifest(path: Path) -> Manifest:
    """The manifest of a pack; :class:`StoreError` if it is none."""
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(f"{path} is missing: it lists the parts; move it together with them") from error
    except (OSError, ValidationError, ValueError) as error:
        raise StoreError(f"{path} is not the list of a packed store: {error}") from error


def _kinds(what: Sequence[str], store: Store) -> list[str]:
    """``results`` and the kinds of artifact that are meant, of those that the store holds."""
    here = sorted({folder.parent.name for folder in store.folder.glob("*/*") if HASH.fullmatch(folder.name)})
    meant = {"results": ["results"], **{kind: [kind] for kind in here}}
    meant["outputs"] = [kind for kind in here if kind.endswith(ROUNDED)]
    meant["weights"] = [kind for kind in here if not kind.endswith(ROUNDED)]
    if strange := [name for name in what if name not in meant]:
        choices = ", ".join(["results", "outputs", "weights", *here])
        raise SpecError(f"what: there is no {strange[0]!r}; choose of {choices}")
    return list(dict.fromkeys(kind for name in what for kind in meant[name]))


def _artifact(folder: Path) -> tuple[dict[str, Any], bytes]:
    """Description and weights of an artifact as they travel."""
    try:
        about = read_about(folder)
        tensors = read_tensors(folder, about)
    except DamagedError as error:
        raise StoreError(f"{folder} is damaged ({error}); `repro doctor` says what to do") from error
    weights = (folder / WEIGHTS).read_bytes()
    about = {**about, "weights_sha256": about.get("weights_sha256") or checksum(folder / WEIGHTS, "sha256")}
    if about["kind"].endswith(ROUNDED) and "rounded" not in about:
        about["rounded"] = {"to": "float16", "from_sha256": about["weights_sha256"]}
        weights = save({name: _half(tensor) for name, tensor in tensors.items()})
        about["weights_sha256"] = hashlib.sha256(weights).hexdigest()
    about["about_digest"] = digest({name: value for name, value in about.items() if name != "about_digest"})
    return about, weights


def _half(tensor: Tensor) -> Tensor:
    """In half precision where that holds it; a logit above 65504 stays as it is, and its neighbours with it."""
    if tensor.dtype != torch.float32 or not bool(tensor.half().isfinite().all()):
        return tensor
    return tensor.half()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


class _Parts:
    """A file to write to that goes on in a new one whenever ``max_bytes`` are full."""

    def __init__(self, out: Path, max_bytes: int) -> None:
        self.paths: list[Path] = []
        self._out, self._max_bytes = out, max_bytes
        self._file: io.BufferedWriter | None = None
        out.parent.mkdir(parents=True, exist_ok=True)
        for left in out.parent.glob(f"{out.name}.[0-9][0-9][0-9]"):  # of a pack that was not finished: it has no list
            left.unlink()

    def write(self, data: bytes) -> int:
        done = 0
        while done < len(data):
            if self._file is None or self._file.tell() >= self._max_bytes:
                self._file = self._next()
            done += self._file.write(data[done : done + self._max_bytes - self._file.tell()])
        return done

    def _next(self) -> io.BufferedWriter:
        self.close()
        if len(self.paths) == 999:
            raise StoreError("more than 999 parts; take a larger --max-mb")
        self.paths.append(self._out.with_name(f"{self._out.name}.{len(self.paths) + 1:03d}"))
        return self.paths[-1].open("wb")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
