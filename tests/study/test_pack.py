"""Packed stores: whole again elsewhere, in parts of a given size; nothing overwritten, nothing outside the root."""

import hashlib
import io
import json
import shlex
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import torch

from benchmarks.common import put
from repro.cli import main
from repro.errors import ReproError, StoreError
from repro.exhibits.table2_num_experts import Parameters, run
from repro.families.single_gate.steps import Steps, goals, steps
from repro.study.artifact import Artifact
from repro.study.pack import PLACE, pack, unpack
from repro.study.places import results_folder
from repro.study.results import load_results
from repro.study.store import Store
from tests.helpers import flip_a_byte, numbers

ASKED = Parameters.check(scale="smoke", experts="1,3", controls="none", device="cpu")
SMALL, LARGE = 10**5, 10**8


def of_three() -> Steps:
    return steps(ASKED.specs()[1])


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def moved(table2_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of that root, packed as ``moved`` in several parts, and unpacked as ``root`` beside it."""
    folder = tmp_path_factory.mktemp("pack")
    results, artifacts, parts = pack(table2_root, folder / "moved", ["results", "outputs", "weights"], SMALL)
    sizes = [part.stat().st_size for part in parts]
    assert len(sizes) > 2 and max(sizes) <= SMALL and sizes[:-1] == [SMALL] * (len(sizes) - 1)
    (sentence,) = unpack([folder / "moved.sha256"], folder / "root")
    put_there = f"{results} results and {artifacts} artifacts put in {folder / 'root'}; 0 were there already"
    assert sentence == f"moved.sha256: {put_there}"
    return folder


def refused(sentence: str, given: Path, root: Path) -> None:
    with pytest.raises(StoreError, match=sentence):
        list(unpack([given], root))


def test_there_and_back_with_this_project_and_without(table2_root: Path, moved: Path, tmp_path: Path) -> None:
    there, here = files(table2_root), files(moved / "root")
    # Locks, and labels of what is half-done, do not travel.
    assert set(here) == (wanted := {name for name in there if name.startswith("results/") or "/locks/" not in name})
    rounded = [goal.steps[0] for goal in goals(ASKED.specs(), ASKED.bases())]
    assert {name for name in wanted if here[name] != there[name]} == {
        f"store/{step.kind}/{step.key}/{file}" for step in rounded for file in ("artifact.json", "weights.safetensors")
    }, "all but the outputs are the same bytes"
    by_hand = f"sha256sum -c moved.sha256 && cat moved.0* | tar xz -C {shlex.quote(str(tmp_path))}"
    subprocess.run(by_hand, shell=True, check=True, cwd=moved, capture_output=True)
    assert files(tmp_path) == here


def test_a_study_goes_on_from_what_was_unpacked(table2_root: Path, moved: Path, tmp_path: Path) -> None:
    shutil.copytree(moved / "root" / "store", tmp_path / "store")
    again = run(ASKED.model_copy(update={"root": tmp_path}))
    (before,) = load_results(table2_root / "results").values()
    assert numbers(again) == pytest.approx(numbers(before), abs=0.5), "one image in 200"
    assert files(tmp_path / "store/expert") == files(moved / "root/store/expert"), "nothing was trained again"


def test_outputs_are_rounded_say_so_and_are_used_in_single_precision(
    table2_root: Path, moved: Path, tmp_path: Path
) -> None:
    key, stores = of_three().predictions, (Store(table2_root), Store(moved / "root"))
    before, after = (store.load(key).tensors for store in stores)
    about = json.loads((stores[1].path(key) / "artifact.json").read_text())
    assert about["rounded"]["to"] == "float16" and about["hash"] == key.key
    sizes = [(store.path(key) / "weights.safetensors").stat().st_size for store in stores]
    assert sizes[1] < 0.6 * sizes[0] and torch.equal(before["labels"], after["labels"])
    for name in ("base_logits", "gate_probs", "expert_logits"):
        assert after[name].dtype == torch.float32 and not torch.equal(after[name], before[name])
        torch.testing.assert_close(after[name], before[name], rtol=1e-3, atol=1e-6)
    pack(moved / "root", tmp_path / "again", ["outputs"], LARGE)
    list(unpack([tmp_path / "again.sha256"], tmp_path / "third"))
    assert files(tmp_path / "third").items() <= files(moved / "root").items(), "packed once more, they are the same"
    too_large = Artifact({"base_logits": torch.tensor([[1e5, 0.1]])})  # for half precision
    put(Store(tmp_path / "a"), key, too_large)
    pack(tmp_path / "a", tmp_path / "large", ["predictions"], LARGE)
    list(unpack([tmp_path / "large.sha256"], tmp_path / "b"))
    assert torch.equal(Store(tmp_path / "b").load(key).tensors["base_logits"], too_large.tensors["base_logits"])


def test_twice_is_once_and_an_original_is_the_same_as_its_rounding(table2_root: Path, moved: Path) -> None:
    before = files(moved / "root"), files(table2_root)
    for root in (moved / "root", table2_root):
        (sentence,) = unpack([moved / "moved.sha256", moved / "moved.001"], root)
        assert sentence.startswith("moved.sha256: 0 results and 0 artifacts put in")
    assert (files(moved / "root"), files(table2_root)) == before


@pytest.mark.parametrize("what", ["results", "base"])
def test_what_differs_is_never_overwritten(table2_root: Path, moved: Path, tmp_path: Path, what: str) -> None:
    if what == "results":
        (record,) = (table2_root / "results").glob("*.json")
        (tmp_path / "results").mkdir()
        (tmp_path / "results" / record.name).write_text("{}")
    else:
        put(Store(tmp_path), of_three().base, Artifact({"weight": torch.zeros(2)}))
    before = files(tmp_path)
    sentence = rf"holds something else in the place of (store/)?{what}/.*nothing was unpacked"
    refused(sentence, moved / "moved.sha256", tmp_path)
    assert files(tmp_path) == before


def test_missing_and_damaged_parts_are_named(moved: Path, tmp_path: Path) -> None:
    for path in moved.glob("moved.*"):
        shutil.copy(path, tmp_path)
    *parts, last, listed = sorted(tmp_path.iterdir())
    flip_a_byte(parts[1])
    refused(r"the checksums of moved\.002 do not hold; move them again", listed, tmp_path / "root")
    parts[1].unlink()
    last.unlink()
    sentence = rf"2 of {len(parts) + 1} parts are missing from .*: moved.002, {last.name}$"
    refused(sentence, listed, tmp_path / "root")
    listed.write_text("{}")
    refused(r"moved\.sha256 is not the list of a packed store", listed, tmp_path / "root")
    listed.unlink()
    refused(r"moved\.sha256 is missing: it lists the parts", parts[0], tmp_path / "root")
    assert not (tmp_path / "root").exists()


def forged(folder: Path, members: dict[str, bytes], link: str = "") -> Path:
    """A pack whose checksums hold and whose tar says what it likes."""
    with tarfile.open(folder / "forged.001", "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            if link:
                member.type, member.linkname, member.size = tarfile.SYMTYPE, link, 0
            tar.addfile(member, io.BytesIO(content))
    sha256 = hashlib.sha256((folder / "forged.001").read_bytes()).hexdigest()
    (folder / "forged.sha256").write_text(f"{sha256}  forged.001\n")
    return folder / "forged.sha256"


@pytest.mark.parametrize(
    ("name", "link", "why"),
    [
        ("results/../../out.json", "", "which has no place in a store"),
        ("store/base/0123456789abcdef/other", "", "which has no place in a store"),
        ("results/a-b.json", "/etc/passwd", "which has no place in a store"),
        ("results/a-b.json", "", "is not a recorded result"),
        ("store/base/0123456789abcdef/artifact.json", "", "is not JSON"),
    ],
)
def test_nothing_is_written_that_has_no_place_in_a_store(tmp_path: Path, name: str, link: str, why: str) -> None:
    refused(rf"cannot be unpacked: .*{why}", forged(tmp_path, {name: b"x"}, link), tmp_path / "root")
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["forged.001", "forged.sha256"]
    assert all(PLACE.fullmatch(f"results/{path.name}") for path in results_folder().glob("*.json"))


def test_a_damaged_artifact_is_neither_packed_nor_unpacked(moved: Path, tmp_path: Path) -> None:
    folder = Store(shutil.copytree(moved / "root", root := tmp_path / "root")).path(of_three().base)
    flip_a_byte(folder / "weights.safetensors")
    with pytest.raises(StoreError, match=r"is damaged .*; `repro doctor` says what to do"):
        pack(root, tmp_path / "moved", ["base"], LARGE)
    assert not list(tmp_path.glob("moved*"))
    members = {str(path.relative_to(root)): path.read_bytes() for path in folder.iterdir()}
    sentence = r"the checksum of .* is not the one it was written with; pack it again"
    refused(sentence, forged(tmp_path, members), tmp_path / "other")
    assert not files(tmp_path / "other")


def test_on_the_command_line_and_what_cannot_be_packed(
    table2_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = str(tmp_path / "packed")
    options = ["--root", str(table2_root), "--what", "results,gate", "--max-mb", "1"]
    assert main(["pack", packed, *options]) == 0
    assert "1 results and 2 artifacts in 1 files" in capsys.readouterr().out
    assert main(["unpack", f"{packed}.sha256", "--root", str(tmp_path / "root")]) == 0
    assert "1 results and 2 artifacts put in" in capsys.readouterr().out
    assert len(load_results(tmp_path / "root" / "results")) == 1
    for root, out, what, sentence in (
        (table2_root, "moved", "pictures", r"there is no 'pictures'; choose of base, .*gate, outputs, "),
        (tmp_path / "none", "moved", "outputs", r"there is nothing to pack in .*: none of outputs"),
        (table2_root, "packed", "gate", r"sha256 is there already; choose another name"),
    ):
        with pytest.raises(ReproError, match=sentence):
            pack(root, tmp_path / out, [what], LARGE)
