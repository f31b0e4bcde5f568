"""Packed stores: whole again elsewhere, in parts of a given size; nothing overwritten, nothing outside the root."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import torch

from benchmarks.common import put
from repro.analysis.outputs import Outputs, accuracy
from repro.cli import main
from repro.errors import SpecError, StoreError
from repro.exhibits.table2_num_experts import Parameters, run
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.steps import goals, steps
from repro.families.single_gate.study import Study
from repro.study.artifact import Artifact
from repro.study.graph import Step
from repro.study.pack import PLACE, SMALLEST, pack, unpack
from repro.study.places import results_folder
from repro.study.results import load_results
from repro.study.store import Store
from tests.helpers import flip_a_byte, numbers

CPU = torch.device("cpu")
ASKED = {"scale": "smoke", "experts": "1,3", "controls": "none", "device": "cpu"}


def spec() -> StudySpec:
    return Parameters.check(**ASKED).specs()[1]


def predictions() -> list[Step]:
    """What is rounded: all that models and controls say."""
    asked = Parameters.check(**ASKED)
    return [goal.steps[0] for goal in goals(asked.specs(), asked.bases())]


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_there_and_back_with_this_project_and_without(table2_root: Path, tmp_path: Path) -> None:
    results, artifacts, parts = pack(table2_root, tmp_path / "moved", ["results", "outputs", "weights"], SMALLEST)
    sizes = [part.stat().st_size for part in parts]
    assert len(sizes) > 2 and max(sizes) <= SMALLEST and sizes[:-1] == [SMALLEST] * (len(sizes) - 1)
    (sentence,) = unpack([tmp_path / "moved.sha256"], tmp_path / "root")
    put_there = f"{results} results and {artifacts} artifacts put in {tmp_path / 'root'}; 0 were there already"
    assert sentence == f"moved.sha256: {put_there}"
    there, here = files(table2_root), files(tmp_path / "root")
    # Locks, and labels of what is half-done, do not travel.
    assert set(here) == (wanted := {name for name in there if name.startswith("results/") or "/locks/" not in name})
    assert {name for name in wanted if here[name] != there[name]} == {
        f"store/{step.kind}/{step.key}/{file}"
        for step in predictions()
        for file in ("artifact.json", "weights.safetensors")
    }, "all but the outputs are the same bytes"
    by_hand = "sha256sum -c moved.sha256 && mkdir by-hand && cat moved.0* | tar xz -C by-hand"
    subprocess.run(by_hand, shell=True, check=True, cwd=tmp_path, capture_output=True)
    assert files(tmp_path / "by-hand") == here


def test_a_study_goes_on_from_what_was_unpacked(table2_root: Path, tmp_path: Path) -> None:
    pack(table2_root, tmp_path / "moved", ["outputs", "weights"], 10**8)
    list(unpack([tmp_path / "moved.sha256"], tmp_path / "root"))
    again = run(Parameters.check(root=tmp_path / "root", **ASKED))
    (before,) = load_results(table2_root / "results").values()
    assert Study([spec()], tmp_path / "root", CPU).store.has(steps(spec()).experts[2])
    assert numbers(again) == pytest.approx(numbers(before), abs=0.5), "one image in 200"


def test_every_recorded_result_has_a_place_in_a_pack() -> None:
    recorded = list(results_folder().glob("*.json"))
    assert recorded and all(PLACE.fullmatch(f"results/{path.name}") for path in recorded)
    assert not PLACE.fullmatch("results/../store.json") and not PLACE.fullmatch("results/performance/one.json")


def test_outputs_are_rounded_say_so_and_are_used_in_single_precision(table2_root: Path, tmp_path: Path) -> None:
    pack(table2_root, tmp_path / "moved", ["outputs"], 10**8)
    list(unpack([tmp_path / "moved.sha256"], tmp_path / "root"))
    key, stores = steps(spec()).predictions, (Store(table2_root), Store(tmp_path / "root"))
    before, after = (store.load(key) for store in stores)
    about = json.loads((stores[1].path(key) / "artifact.json").read_text())
    assert about["rounded"]["to"] == "float16" and about["hash"] == key.key
    sizes = [(store.path(key) / "weights.safetensors").stat().st_size for store in stores]
    assert sizes[1] < 0.6 * sizes[0]
    assert torch.equal(before.tensors["labels"], after.tensors["labels"])
    for name in ("base_logits", "gate_probs", "expert_logits"):
        assert after.tensors[name].dtype == torch.float32
        assert not torch.equal(after.tensors[name], before.tensors[name]), "something was rounded"
        torch.testing.assert_close(after.tensors[name], before.tensors[name], rtol=1e-3, atol=1e-6)
    outputs = Outputs(**after.tensors)
    assert 0 < accuracy(outputs.base_logits, outputs.labels) < 100
    # Packed once more, they are the same.
    pack(tmp_path / "root", tmp_path / "again", ["outputs"], 10**8)
    list(unpack([tmp_path / "again.sha256"], tmp_path / "third"))
    assert files(tmp_path / "third") == files(tmp_path / "root")


def test_a_logit_that_half_precision_cannot_hold_is_kept(tmp_path: Path) -> None:
    key = steps(spec()).predictions
    put(Store(tmp_path / "a"), key, Artifact({"base_logits": torch.tensor([[1e5, 0.1]])}))
    pack(tmp_path / "a", tmp_path / "moved", ["predictions"], 10**8)
    list(unpack([tmp_path / "moved.sha256"], tmp_path / "b"))
    assert torch.equal(Store(tmp_path / "b").load(key).tensors["base_logits"], torch.tensor([[1e5, 0.1]]))


def test_twice_is_once_and_an_original_is_the_same_as_its_rounding(table2_root: Path, tmp_path: Path) -> None:
    pack(table2_root, tmp_path / "moved", ["results", "outputs", "base"], 10**8)
    list(unpack([tmp_path / "moved.sha256"], tmp_path / "root"))
    before, there = files(tmp_path / "root"), files(table2_root)
    (sentence,) = unpack([tmp_path / "moved.sha256", tmp_path / "moved.001"], tmp_path / "root")
    assert sentence.startswith("moved.sha256: 0 results and 0 artifacts put in")
    (sentence,) = unpack([tmp_path / "moved.001"], table2_root)
    assert ": 0 results and 0 artifacts put in" in sentence
    assert files(tmp_path / "root") == before and files(table2_root) == there


@pytest.mark.parametrize("what", ["results", "base"])
def test_what_differs_is_never_overwritten(table2_root: Path, tmp_path: Path, what: str) -> None:
    pack(table2_root, tmp_path / "moved", ["results", "base", "gate"], 10**8)
    root = tmp_path / "root"
    if what == "results":
        (record,) = (table2_root / "results").glob("*.json")
        (root / "results").mkdir(parents=True)
        (root / "results" / record.name).write_text("{}")
    else:
        put(Store(root), steps(spec()).base, Artifact({"weight": torch.zeros(2)}))
    before = files(root)
    with pytest.raises(
        StoreError, match=rf"holds something else in the place of (store/)?{what}/.*nothing was unpacked"
    ):
        list(unpack([tmp_path / "moved.sha256"], root))
    assert files(root) == before


def test_missing_and_damaged_parts_are_named(table2_root: Path, tmp_path: Path) -> None:
    _, _, parts = pack(table2_root, tmp_path / "moved", ["weights"], SMALLEST)
    second, last = parts[1], parts[-1]
    second.rename(tmp_path / "elsewhere")
    last.rename(tmp_path / "elsewhere too")
    with pytest.raises(StoreError, match=rf"2 of {len(parts)} parts are missing from .*: moved.002, {last.name}$"):
        list(unpack([tmp_path / "moved.sha256"], tmp_path / "root"))
    (tmp_path / "elsewhere").rename(second)
    (tmp_path / "elsewhere too").rename(last)
    flip_a_byte(second)
    with pytest.raises(StoreError, match=r"the checksums of moved\.002 do not hold; move them again"):
        list(unpack([tmp_path / "moved.sha256"], tmp_path / "root"))
    (tmp_path / "moved.sha256").unlink()
    with pytest.raises(StoreError, match=r"moved\.sha256 is missing: it lists the parts"):
        list(unpack([second], tmp_path / "root"))
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
    [*((name, "", "which has no place in a store") for name in (
        "../out.json", "/etc/out.json", "results/../../out.json", "store/base/../../../out",
        "store/base/0123456789abcdef/other", "other/0123456789abcdef/artifact.json")),
     ("results/a-b.json", "/etc/passwd", "which has no place in a store"),
     ("results/a-b.json", "", "is not a recorded result"),
     ("store/base/0123456789abcdef/artifact.json", "", "is not JSON")],
)  # fmt: skip
def test_nothing_is_written_that_has_no_place_in_a_store(tmp_path: Path, name: str, link: str, why: str) -> None:
    with pytest.raises(StoreError, match=rf"cannot be unpacked: .*{why}"):
        list(unpack([forged(tmp_path, {name: b"x"}, link)], tmp_path / "root"))
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["forged.001", "forged.sha256"]


def test_a_damaged_artifact_is_neither_packed_nor_unpacked(table2_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(table2_root, root)
    folder = Store(root).path(steps(spec()).base)
    flip_a_byte(folder / "weights.safetensors")
    with pytest.raises(StoreError, match=r"is damaged .*; `repro doctor` says what to do"):
        pack(root, tmp_path / "moved", ["base"], 10**8)
    assert not list(tmp_path.glob("moved*"))
    members = {str(path.relative_to(root)): path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(StoreError, match=r"the checksum of .* is not the one it was written with; pack it again"):
        list(unpack([forged(tmp_path, members)], tmp_path / "other"))
    assert not files(tmp_path / "other")


def test_what_cannot_be_packed_is_a_sentence(table2_root: Path, tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match=r"there is no 'pictures'; choose of base, .*gate, outputs, predictions, results"
    ):
        pack(table2_root, tmp_path / "moved", ["pictures"], 10**8)
    with pytest.raises(SpecError, match=r"too small; take at least 0\.1 MB"):
        pack(table2_root, tmp_path / "moved", ["base"], 10)
    with pytest.raises(StoreError, match=r"there is nothing to pack in .*: none of outputs, results"):
        pack(tmp_path, tmp_path / "moved", ["results", "outputs"], 10**8)
    pack(table2_root, tmp_path / "moved", ["gate"], 10**8)
    with pytest.raises(StoreError, match=r"moved\.sha256 is there already; choose another name"):
        pack(table2_root, tmp_path / "moved", ["gate"], 10**8)
    (tmp_path / "no.sha256").write_text("{}")
    with pytest.raises(StoreError, match=r"no\.sha256 is not the list of a packed store"):
        list(unpack([tmp_path / "no.sha256"], tmp_path / "root"))


def test_on_the_command_line(table2_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the pack is called."""
    options = ["--root", str(table2_root), "--what", "results,gate", "--max-mb", "1"]
    assert main(["pack", str(tmp_path / "my pack (1)"), *options]) == 0
    assert "1 results and 2 artifacts in 1 files" in capsys.readouterr().out
    assert main(["unpack", str(tmp_path / "my pack (1).sha256"), "--root", str(tmp_path / "root")]) == 0
    assert "1 results and 2 artifacts put in" in capsys.readouterr().out
    assert len(load_results(tmp_path / "root" / "results")) == 1
