"""The graphs say what the networks say; what is missing, damaged or of other weights is said to be."""

import shutil
from pathlib import Path

import onnx
import pytest
import torch
from PIL import Image
from torch import nn

from repro.errors import ReproError, StoreError
from repro.families.single_gate import onnx_form
from repro.families.single_gate.export import ONNX, load, save
from repro.families.single_gate.model import SingleGateMoE, every_expert
from repro.families.single_gate.onnx_form import OnnxMoE, graph, graphs
from repro.families.single_gate.predict import Rule, predict
from repro.models.backbone import Backbone, Head
from repro.models.registry import freeze
from tests.helpers import draw_statistics, to_export


def made(name: str, number: int, folder: Path) -> Path:
    """An exported mixture of drawn weights, with its graphs."""
    moe, config = to_export(name, number)
    return save(folder, moe, config, "# A card", graphs(moe, torch.zeros(2, 3, 32, 32)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made("tr10", 3, tmp_path_factory.mktemp("exports") / "moe")


def agree(ours: OnnxMoE, theirs: SingleGateMoE, images: torch.Tensor) -> None:
    asked: list[tuple[float | None, Rule]] = [(0.0, "anytime"), (0.2, "anytime"), (1.0, "anytime"), (None, "top-1")]
    for tau, rule in asked:
        actual, expected = predict(ours, images, tau, rule), predict(theirs, images, tau, rule)
        torch.testing.assert_close(actual.scores, expected.scores, atol=1e-5, rtol=0.0)
        assert torch.equal(actual.experts_used, expected.experts_used)


def test_it_says_the_same_of_any_number_of_images(exported: Path, fp32: None) -> None:
    ours, theirs = onnx_form.load(exported), load(exported)
    images = torch.randn(7, 3, 32, 32)
    assert len(predict(theirs, images, 0.2).experts_used.unique()) > 1, "some images run more experts than others"
    for number in (1, 7):
        agree(ours, theirs, images[:number].to(memory_format=torch.channels_last))
    picture = Image.new("RGB", (40, 50), (200, 60, 20))
    assert torch.equal(ours.prepare(picture), theirs.prepare(picture)) and ours.config == theirs.config
    assert ours.label(picture, 0.3) == theirs.label(picture, 0.3)


def test_one_expert_of_a_network_of_torchvision(tmp_path: Path, fp32: None) -> None:
    folder = made("resnet18", 1, tmp_path / "moe")
    agree(onnx_form.load(folder), load(folder), torch.randn(3, 3, 32, 32))


def test_a_batchnorm_that_cannot_be_folded_is_each_experts_own(exported: Path, fp32: None) -> None:
    """It stands before its convolution, as in DenseNets."""

    def head() -> Head:
        layers = nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        return Head(nn.Sequential(*layers), nn.Linear(4, 3), 4)

    moe = SingleGateMoE(Backbone("small", nn.Conv2d(3, 4, 3), head(), 4), nn.Linear(4, 2), [head(), head()])
    draw_statistics(freeze(moe))
    images = torch.randn(5, 3, 8, 8)
    agree(OnnxMoE(load(exported).config, graphs(moe, images)), moe, images)


def test_in_int8_maps_are_near_and_the_last_layers_are_as_they_were(exported: Path) -> None:
    moe, images = load(exported), torch.randn(64, 3, 32, 32)
    int8 = OnnxMoE(moe.config, files := graphs(moe, images, "int8"))
    theirs, ours = moe.base.trunk(images), int8.trunk(images)
    assert 0 < float((ours - theirs).abs().mean() / theirs.abs().mean()) < 0.05
    operators = [node.op_type for node in onnx.load_from_string(files["base.onnx"]).graph.node]
    last = operators[max(i for i, name in enumerate(operators) if name.endswith("QuantizeLinear")) + 1 :]
    assert {"Gemm", "Softmax"} <= set(last), "the last layers and the gate's softmax see float32"
    outputs = every_expert(int8, images)
    assert float((outputs.base_logits.argmax(1) == moe(images).base_logits.argmax(1)).double().mean()) > 0.9
    assert float((outputs.gate_probs.sum(1) - 1).abs().max()) < 1e-5


def test_what_is_no_set_of_graphs_is_said_to_be_none(exported: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(exported, tmp_path / "moe")
    trunk, moe = folder / ONNX / "trunk.onnx", load(folder)

    def refused(sentence: str) -> None:
        with pytest.raises(StoreError, match=sentence + ".*again with --onnx"):
            onnx_form.load(folder)

    trunk.write_bytes(trunk.read_bytes()[:-1] + b"?")
    refused("trunk.onnx is damaged")
    trunk.unlink()
    refused("trunk.onnx cannot be read")
    save(folder, moe, moe.config, "# Without graphs")
    refused("has no graphs")
    assert not (folder / ONNX).exists(), "none of them is left"
    (other := tmp_path / "other" / ONNX).mkdir(parents=True)
    with pytest.raises(StoreError, match="no exported model"):
        save(other.parent, moe, moe.config, "# A card")


def test_what_onnx_does_not_know_is_said() -> None:
    class Strange(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigvals(x).real

    with pytest.raises(ReproError, match=r"^Strange cannot be translated to ONNX \((?!.*Next steps)[^\x1b]+\)$"):
        graph(Strange(), torch.randn(2, 3, 3), "out")
