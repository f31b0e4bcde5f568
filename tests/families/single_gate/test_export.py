"""An exported model is the model, to the last bit; what is no exported model is said to be none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from repro.data.augment import Augmentation
from repro.data.folders import adopt, index_folder
from repro.data.stream import StreamBatches
from repro.errors import StoreError
from repro.families.single_gate.export import CARD, CONFIG, WEIGHTS, load, save
from repro.families.single_gate.predict import predict
from tests.helpers import to_export


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    return save(tmp_path / "moe", *to_export("tr10", 2), "# A card")


@pytest.mark.parametrize("name", ["tr10", "resnet18@layer3"])
def test_it_says_the_same_to_the_last_bit(name: str, tmp_path: Path) -> None:
    moe, config = to_export(name, 2)
    folder, state = save(tmp_path / "moe", moe, config, "# A card"), torch.get_rng_state()
    model = load(folder)
    assert torch.equal(torch.get_rng_state(), state), "loading draws nothing"
    images = torch.randn(6, 3, 32, 32)
    with torch.no_grad():
        for ours, theirs in zip(model(images), moe(images), strict=True):
            assert torch.equal(ours, theirs)
    for tau in (0.0, 0.2, 1.0):
        assert torch.equal(predict(model, images, tau).scores, predict(moe, images, tau).scores)
    assert not model.training and not any(p.requires_grad for p in model.parameters())


def test_loading_knows_no_study(exported: Path) -> None:
    code = (
        "import sys; from repro.families.single_gate.export import load; load(sys.argv[1]); "
        "print([m for m in sys.modules if m.startswith(('repro.study', 'repro.report', 'repro.cli'))])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(exported)], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_picture_is_prepared_as_the_study_does(picture_folder: Path, tmp_path: Path, exported: Path) -> None:
    index = index_folder(adopt(picture_folder, tmp_path), "test", tmp_path)
    (batch,) = StreamBatches(index, Augmentation(), torch.device("cpu"), 32, 36).clean(30)
    model = load(exported)
    assert torch.equal(model.prepare([Image.open(path) for path in index.paths]), batch.images)
    prediction = predict(model, model.prepare(Image.open(index.paths[0])), 0.3)
    assert model.label(Image.open(index.paths[0]), 0.3) == model.config.classes[int(prediction.scores.argmax())]
    assert model.names(torch.eye(3)) == ["apple", "leaf", "sky"]


def test_a_damaged_or_foreign_folder_is_said_to_be_one(exported: Path, tmp_path: Path) -> None:
    config, weights = (exported / CONFIG).read_text(), (exported / WEIGHTS).read_bytes()

    def refused(sentence: str) -> None:
        with pytest.raises(StoreError, match=sentence):
            load(exported)
        (exported / CONFIG).write_text(config)
        (exported / WEIGHTS).write_bytes(weights)

    with pytest.raises(StoreError, match=r"no exported model in .*nowhere: config.json is missing"):
        load(tmp_path / "nowhere")
    (exported / WEIGHTS).write_bytes(weights[:-1] + b"?")
    refused("is damaged, or another model's")
    (exported / WEIGHTS).unlink()
    refused("model.safetensors is missing")
    (exported / CONFIG).write_text(config[:100])
    refused("does not describe an exported model")
    (exported / CONFIG).write_bytes(b"\xff\xfe")
    refused("cannot be read")
    for sentence, changes in (
        ("format: ", {"format": "something else"}),
        ("version: ", {"version": 2}),
        ("do not fit .*experts.2", {"num_experts": 3}),
        ("do not fit", {"width": 0.125}),
        ("do not fit .*unknown backbone 'tr99'", {"base": "tr99"}),
        ("do not fit", {"classes": ["one"]}),
        ("surprise: ", {"surprise": 1}),
    ):
        (exported / CONFIG).write_text(json.dumps({**json.loads(config), **changes}))
        refused(sentence)
    load(exported)


def test_an_export_is_written_over_and_nothing_else_is(exported: Path, tmp_path: Path) -> None:
    moe, config = to_export("tr18", 2)
    assert load(save(exported, moe, config, "# Another")).config.base == "tr18"
    assert (exported / CARD).read_text() == "# Another"
    (exported / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="holds something that is no exported model"):
        save(exported, moe, config, "")
    assert (exported / "notes.txt").read_text() == "mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="no exported model"):
        save(tmp_path / "file", moe, config, "")
