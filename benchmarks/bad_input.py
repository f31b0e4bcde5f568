"""Thousands of wrong specs, parameters, archives, labels, images and artifacts: each must end in a sentence.

    uv run python -m benchmarks.bad_input --tries 400 --record

Every input is a valid one with something changed at random (the seed is fixed). *Refused* means an
error of this project, one sentence for the person; *harmless* means that what was read is what a valid
input says (a changed byte of padding, white space, a value that is allowed); *crashed* is anything
else: a bare exception, or something wrong that was believed.
"""

from __future__ import annotations

import contextlib
import io
import random
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.common import FactsAndRows, Row, command
from repro.data.archives import checksum, unpack
from repro.data.imagenet import read_image
from repro.data.tiny_imagenet import list_images, read_cache
from repro.errors import ReproError
from repro.exhibits.table2_num_experts import Parameters
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.scales import default_spec
from repro.study.artifact import Artifact
from repro.study.graph import Context, Step
from repro.study.results import load_result
from repro.study.runner import Runner
from repro.study.sources import Sources
from repro.study.store import Store

Try = Callable[[Path, random.Random], bool]  # reads a changed input; whether what it read is right
NONSENSE: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 10**30, float("nan"), float("inf"), "", "x", "0,1,,2", "🦆", "\x00", [], [None], {},
    {"a": 1}, b"bytes", object(), "../../etc/passwd", "processes:0", "ray:-3", "cuda:99", "tr18", (1, 1),
)  # fmt: skip


def mutate(data: bytes, draw: random.Random) -> bytes:
    """One of: a flipped byte, a cut, a stretch removed or repeated, noise in the middle, something else altogether."""
    at, other = sorted((draw.randrange(len(data)), draw.randrange(len(data))))
    return draw.choice(
        (
            data[:at] + bytes([data[at] ^ draw.randrange(1, 256)]) + data[at + 1 :],
            data[:at],
            data[:at] + data[other:],
            data[:other] + data[at:],
            data[:at] + draw.randbytes(16) + data[at + 16 :],
            draw.randbytes(at + 1),
        )
    )


def wrong_spec(folder: Path, draw: random.Random) -> bool:
    """A spec with one to three fields changed, or one that does not exist."""
    names = [*StudySpec.model_fields, "num_expert", "", "Seed"]
    changes = {draw.choice(names): draw.choice(NONSENSE) for _ in range(draw.randint(1, 3))}
    spec = default_spec("smoke", "modes").with_(**changes)
    return all(name in StudySpec.model_fields for name in changes) and StudySpec(**spec.model_dump()) == spec


def wrong_parameters(folder: Path, draw: random.Random) -> bool:
    """Notebook parameters, wrong in the same way."""
    names = [*Parameters.model_fields, "sclae", "expert"]
    changes = {draw.choice(names): draw.choice(NONSENSE) for _ in range(draw.randint(1, 3))}
    parameters = Parameters.check(**{"scale": "smoke", **changes})
    return all(name in Parameters.model_fields for name in changes) and bool(parameters.specs())


CONTENT = {"set/a.txt": b"alpha" * 300, "set/deep/b.txt": b"beta" * 50}


def pack(path: Path, content: dict[str, bytes]) -> Path:
    """A zip or a tar, by the name."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in content.items():
                archive.writestr(name, data)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def wrong_archive(folder: Path, draw: random.Random) -> bool:
    """A damaged archive, or one with a hostile name; nothing may appear outside its folder."""
    path = folder / draw.choice(("a.zip", "a.tar", "a.tar.gz"))
    if draw.random() < 0.3:
        hostile = draw.choice(("../out", "/tmp/../out", "set/../../out", "C:\\out", "set/\\..\\out", "set/a.txt"))
        pack(path, {**CONTENT, hostile: b"x"} if hostile not in CONTENT else {"set": b"x", **CONTENT})
        md5 = checksum(path)
    else:
        pack(path, CONTENT)
        md5 = checksum(path)
        path.write_bytes(mutate(path.read_bytes(), draw))
    before = path.read_bytes()
    try:
        unpack(path, folder / "set", md5)
    finally:
        allowed = {path.name, "set"} if (folder / "set").exists() else {path.name}
        assert {p.name for p in folder.iterdir()} == allowed, "something was left behind"
        assert path.read_bytes() == before
    unpacked = {file.relative_to(folder).as_posix(): file for file in (folder / "set").rglob("*") if file.is_file()}
    return all(unpacked[name].read_bytes() == content for name, content in CONTENT.items() if name in unpacked)


def wrong_labels(folder: Path, draw: random.Random) -> bool:
    """Damaged lists of classes and labels of tiny-ImageNet."""
    texts = {
        "wnids.txt": "n00000001\nn00000002\n",
        "words.txt": "n00000001\tgoldfish, fish\nn00000002\tking penguin\n",
        "val/val_annotations.txt": "a.JPEG\tn00000001\t0\t0\t1\t1\nb.JPEG\tn00000002\t0\t0\t1\t1\n",
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "val/images").mkdir()
    for name in ("a.JPEG", "b.JPEG"):
        (folder / "val/images" / name).touch()
    path = folder / draw.choice(list(texts))
    path.write_bytes(mutate(path.read_bytes(), draw))
    return all(path.exists() and 0 <= label < 2 for path, label in list_images("test", folder))


def wrong_image(folder: Path, draw: random.Random) -> bool:
    """A truncated or damaged image, one of another mode or size, or something that is no image."""
    path, mode = folder / "a.JPEG", draw.choice(("RGB", "L", "CMYK"))
    size = draw.choice(((64, 64), (63, 64), (1, 1)))
    form = "JPEG" if mode == "CMYK" else draw.choice(("JPEG", "TIFF", "GIF"))
    Image.new(mode, size, 7 if mode == "L" else (7,) * len(mode)).save(path, form)
    if draw.random() < 0.7:
        path.write_bytes(mutate(path.read_bytes(), draw))
    image = read_image(path, expected_size=64)
    return image.mode == "RGB" and image.size == (64, 64)


def wrong_cache(folder: Path, draw: random.Random) -> bool:
    """A damaged cache of decoded images (its pixels are checked by `repro data check`, not at every load)."""
    np.save(folder / "images.npy", np.zeros((4, 3, 32, 32), np.uint8))
    np.save(folder / "labels.npy", np.zeros(4, np.int64))
    (folder / "meta.json").write_text('{"images_sha256": "a", "class_names": ["a", "b"]}')
    path = folder / draw.choice(("images.npy", "labels.npy", "meta.json"))
    path.write_bytes(mutate(path.read_bytes(), draw))
    images, labels, _ = read_cache(folder, 32)
    return images.shape == (4, 3, 32, 32) and labels.shape == (4,)


def wrong_artifact(folder: Path, draw: random.Random) -> bool:
    """A damaged artifact: set aside and made again, or refused, never believed."""
    device = torch.device("cpu")
    store = Store(folder)

    def step(value: float) -> Step:
        artifact = Artifact({"w": torch.full((50,), value)}, {"m": 1.0})
        return Step("base", {"a": 1}, lambda context, inputs: artifact, label="base of a campaign")

    def loaded(value: float) -> tuple[Artifact, bool]:
        runner = Runner([], Context(store, Sources(folder, device), device))
        return runner.load(step(value)), not runner.made

    loaded(1)
    path = store.path(step(1)) / draw.choice(("weights.safetensors", "artifact.json"))
    path.write_bytes(mutate(path.read_bytes(), draw))
    artifact, from_store = loaded(2)
    if not from_store and len(store.set_aside()) == 1 and bool((artifact.tensors["w"] == 2).all()):
        raise ReproError("set aside, and made again")
    return from_store and bool((artifact.tensors["w"] == 1).all()) and artifact.metrics == {"m": 1.0}


def wrong_record(folder: Path, draw: random.Random) -> bool:
    """A damaged record of results."""
    source = next(iter(sorted((Path(__file__).parents[1] / "results").glob("*.json"))))
    path = folder / "a.json"
    path.write_bytes(mutate(source.read_bytes(), draw))
    return bool(load_result(path).study)


KINDS: dict[str, Try] = {
    "specs": wrong_spec, "notebook parameters": wrong_parameters, "archives": wrong_archive,
    "label files": wrong_labels, "images": wrong_image, "caches of images": wrong_cache,
    "artifacts": wrong_artifact, "records": wrong_record,
}  # fmt: skip


def tried(attempt: Try, number: int, seed: int) -> Iterator[tuple[str, str]]:
    """What became of each try: ``refused``, ``harmless`` or ``crashed``, and why."""
    for index in range(number):
        draw = random.Random(f"{seed}/{attempt.__name__}/{index}")
        folder = Path(tempfile.mkdtemp())
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                right = attempt(folder, draw)
            yield ("harmless", "") if right else ("crashed", f"{attempt.__name__}, {index}: believed")
        except ReproError as error:
            message = str(error)
            yield ("refused", message) if message else ("crashed", f"{attempt.__name__}, {index}: said nothing")
        except Exception as error:
            yield "crashed", f"{attempt.__name__}, {index}: {type(error).__name__}: {error}"
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def campaign(tries: int, seed: int) -> FactsAndRows:
    """Run it; see the top of this file."""
    rows: list[Row] = []
    for kind, attempt in KINDS.items():
        outcomes = list(tried(attempt, tries, seed))
        counts = {state: sum(o == state for o, _ in outcomes) for state in ("refused", "harmless", "crashed")}
        rows.append({"input": kind, "tried": tries, **counts})
        for state, why in outcomes:
            if state == "crashed":
                print(why)
    facts = {name: sum(int(row[name]) for row in rows) for name in ("tried", "refused", "harmless", "crashed")}
    return {**facts, "kinds": len(KINDS)}, rows


if __name__ == "__main__":
    command(__doc__, "bad-input", "tries", 400, campaign)
