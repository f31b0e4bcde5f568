"""Stores that travel: results and artifacts as one compressed tar, cut into files OUT.001, OUT.002 ...

OUT.sha256 lists their checksums. ``sha256sum -c OUT.sha256 && cat OUT.0* | tar xz -C data`` puts them in place too;
:func:`unpack` also reads every artifact, and overwrites nothing. Predictions travel in half precision: their artifact
says so, and from which file they were rounded; its key is the same.
"""

import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import torch
from safetensors.torch import save

from repro.data.archives import checksum
from repro.errors import SpecError, StoreError
from repro.files import write_aside, write_text
from repro.study.artifact import read_tensors
from repro.study.contents import ABOUT, WEIGHTS, Contents, DamagedError, checksum_of, read_about, signed
from repro.study.results import load_result

ROUNDED = "predictions"  # the end of their kinds
PLACE = re.compile(rf"results/[^/]+\.json|store/[a-z-]+/[0-9a-f]{{16}}/({ABOUT}|{WEIGHTS})")


def pack(root: Path, out: Path, what: Iterable[str], max_bytes: int) -> tuple[int, int, list[Path]]:
    """Pack ``what`` (results, outputs, weights, or kinds of artifact): how many results and artifacts, and the parts.

    Raises:
        SpecError: For what cannot be packed.
        StoreError: If an artifact is damaged, there is nothing to pack, or ``out`` is there already.
    """
    listed, wanted = out.with_name(f"{out.name}.sha256"), {name.strip() for name in what}
    if listed.exists():
        raise StoreError(f"{listed} is there already; choose another name, or delete it and its parts")
    results = sorted((root / "results").glob("*.json")) if "results" in wanted else []
    here = Contents(root).folders()
    names = {f: {f.parent.name, "outputs" if f.parent.name.endswith(ROUNDED) else "weights"} for f in here}
    if strange := sorted(wanted - (choices := {"results", "outputs", "weights"}.union(*names.values()))):
        raise SpecError(f"what: there is no {strange[0]!r}; choose of {', '.join(sorted(choices))}")
    folders = [folder for folder in here if names[folder] & wanted]
    if not results and not folders:
        raise StoreError(f"there is nothing to pack in {root}: none of {', '.join(sorted(wanted))}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=out.parent) as whole:
        with tarfile.open(fileobj=whole, mode="w:gz") as tar:
            for path in [*results, *folders]:
                for name, content in _travelling(path).items():
                    member = tarfile.TarInfo(str((path / name).relative_to(root)))
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
        parts = [out.with_name(f"{out.name}.{n + 1:03d}") for n in range(-(-whole.tell() // max_bytes))]
        whole.seek(0)
        for part in parts:
            part.write_bytes(whole.read(max_bytes))
    write_text(listed, "".join(f"{checksum(part, 'sha256')}  {part.name}\n" for part in parts))
    return len(results), len(folders), parts


def _travelling(path: Path) -> dict[str, bytes]:
    """A result, or the files of an artifact, as they travel."""
    if path.is_file():
        load_result(path)
        return {"": path.read_bytes()}
    try:
        about = read_about(path)
        tensors, weights = read_tensors(path, about), (path / WEIGHTS).read_bytes()
    except DamagedError as error:
        raise StoreError(f"{path} is damaged ({error}); `repro doctor` says what to do") from error
    if about["kind"].endswith(ROUNDED) and "rounded" not in about:
        about["rounded"] = {"to": "float16", "from_sha256": hashlib.sha256(weights).hexdigest()}
        small = {
            name: t.half() for name, t in tensors.items() if t.dtype == torch.float32 and t.half().isfinite().all()
        }
        weights = save({**tensors, **small})  # a logit above 65504 stays as it is, and its neighbours with it
    about["weights_sha256"] = hashlib.sha256(weights).hexdigest()
    return {ABOUT: signed(about), WEIGHTS: weights}


def unpack(files: Sequence[Path], root: Path) -> Iterator[str]:
    """Put packs (each by its OUT.sha256, or by any part) in their places below ``root``; says of each what was done.

    What is there already is left as it is, so the same call twice does nothing new.

    Raises:
        StoreError: Before anything of a pack is moved: a part is missing or damaged, what it holds has no place in a
            store or cannot be read, or something else stands in its place.
    """
    for listed in dict.fromkeys(path.with_suffix(".sha256") if path.suffix[1:].isdigit() else path for path in files):
        parts = _parts(listed)
        root.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".unpacked-", dir=root) as aside:
            try:
                places = {path: root / path.relative_to(aside) for path in _extract(parts, Path(aside))}
            except (tarfile.TarError, EOFError, DamagedError, StoreError, ValueError) as error:
                raise StoreError(f"{listed} cannot be unpacked: {error}; pack it again") from error
            if other := [
                str(to.relative_to(root)) for path, to in places.items() if to.exists() and not _same(path, to)
            ]:
                more = f" and {len(other) - 3} more" if len(other) > 3 else ""
                raise StoreError(
                    f"{root} holds something else in the place of {', '.join(other[:3])}{more}; nothing was unpacked: "
                    "choose another --root, or move those away"
                )
            new = {path: to for path, to in places.items() if not to.exists()}
            results = sum(path.is_file() for path in new)
            for path, to in new.items():
                with write_aside(to) as within:
                    path.rename(within)
        put = f"{results} results and {len(new) - results} artifacts put in {root}"
        yield f"{listed.name}: {put}; {len(places) - len(new)} were there already"


def _parts(listed: Path) -> list[Path]:
    """The files that a list of checksums names; they are whole."""
    if not listed.is_file():
        raise StoreError(f"{listed} is missing: it lists the parts; move it together with them")
    text = listed.read_text(encoding="utf-8", errors="replace")
    lines = re.findall(r"^([0-9a-f]{64})  ([^/\n]+\.\d{3})$", text, re.MULTILINE)
    if not lines:
        raise StoreError(f"{listed} is not the list of a packed store")
    if missing := [name for _, name in lines if not listed.with_name(name).is_file()]:
        where = f"{len(missing)} of {len(lines)} parts are missing from {listed.parent}"
        raise StoreError(f"{listed.name}: {where}: {', '.join(missing)}")
    if damaged := [name for sha256, name in lines if checksum(listed.with_name(name), "sha256") != sha256]:
        raise StoreError(f"{listed.name}: the checksums of {', '.join(damaged)} do not hold; move them again")
    return [listed.with_name(name) for _, name in lines]


def _extract(parts: Sequence[Path], aside: Path) -> list[Path]:
    """Extract results and artifacts; all of them have a place in a store, and can be read."""
    with TemporaryFile(dir=aside) as whole:
        for part in parts:
            whole.write(part.read_bytes())
        whole.seek(0)
        with tarfile.open(fileobj=whole, mode="r:gz") as tar:
            if strange := [m.name for m in tar if not (m.isreg() and PLACE.fullmatch(m.name))]:
                raise DamagedError(f"it holds {strange[0]!r}, which has no place in a store")
            tar.extractall(aside, filter="data")
    results, folders = list(aside.glob("results/*")), list(aside.glob("store/*/*"))
    for path in results:
        load_result(path)
    for folder in folders:
        read_tensors(folder, read_about(folder))
    return results + folders


def _same(path: Path, place: Path) -> bool:
    """Whether the same stands in a place: an artifact is itself whether it was rounded or not."""
    if path.is_file():
        return checksum(path, "sha256") == checksum(place, "sha256")
    try:
        return checksum_of(read_about(path)) == checksum_of(read_about(place))
    except DamagedError:
        return False
