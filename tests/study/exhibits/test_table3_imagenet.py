"""Table 3's run: a small folder in ImageNet's layout, given weights, a stand-in, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import get_model_weights, mobilenet_v3_small

from repro.errors import DataError, SpecError
from repro.models.registry import build_backbone
from repro.models.torchvision_nets import WEIGHTS
from repro.study.exhibits.table3_imagenet import NETWORKS, Table3Parameters, table3

IMAGENET = {"scale": "smoke", "dataset": "imagenet", "networks": "mobilenet_v3_small"}

RESNET = {"scale": "paper", "dataset": "imagenet", "networks": "resnet18", "experts": "1"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three classes of plain colour with some noise: ten training and four validation images each."""
    noise = np.random.default_rng(0)
    for split, count in (("train", 10), ("val", 4)):
        for c in range(3):
            folder = tmp_path / "imagenet" / split / f"n0000000{c}"
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = noise.integers(0, 120, (72, 80, 3), dtype=np.uint8)
                pixels[..., c] += 100
                Image.fromarray(pixels).save(folder / f"{i}.JPEG")
    return tmp_path


def test_it_runs_end_to_end_on_a_folder_in_imagenets_layout(root: Path) -> None:
    result = table3(Table3Parameters.check(**IMAGENET, experts="2", root=str(root)))
    row = "mobilenet_v3_small"
    assert (result.base, result.rows(), result.numbers_of_experts()) == (row, [row], [2])
    for tau in ("0.75", "0.5"):
        (runs,) = result.values("runs_expert", f"bagging tau={tau}", 2, row)
        (macs,) = result.values("macs_millions", f"bagging tau={tau}", 2, row)
        base, moe = (cost.macs / 1e6 for cost in result.costs if cost.num_experts in (0, 2))
        assert 0 <= runs <= 100 and base < macs <= moe + 1e-4
    assert len(result.values("top1", "backbone", 0, row)) == 1


def test_the_weights_are_those_that_lie_where_torchvision_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    given = mobilenet_v3_small().state_dict()
    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save(given, checkpoints / get_model_weights("mobilenet_v3_small")[WEIGHTS].url.rsplit("/")[-1])
    base = build_backbone("mobilenet_v3_small", 1000, pretrained=True)
    assert torch.equal(base.head.fc.weight, given["classifier.3.weight"])


def test_weights_that_cannot_be_fetched_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*arguments: object, **more: object) -> None:
        raise OSError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(SpecError, match=r"weights of resnet18 could not be downloaded \(no network\); put http.*"):
        build_backbone("resnet18", 1000, pretrained=True)


def test_torchvisions_weights_on_a_folder_of_other_classes_are_refused(root: Path) -> None:
    asked = {**RESNET, "root": str(root)}
    with pytest.raises(SpecError, match=r"has 3 classes, torchvision's weights have 1000.*set pretrained to false"):
        table3(Table3Parameters.check(**asked))
    assert not any(spec.pretrained for spec in Table3Parameters.check(**asked, pretrained=False).specs())


def test_without_the_images_it_says_where_they_belong(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="imagenet is not in"):
        table3(Table3Parameters.check(**RESNET, root=str(tmp_path)))


def test_networks_are_table_3s_on_imagenet_and_the_scales_own_elsewhere() -> None:
    on_imagenet = Table3Parameters.check(scale="paper", dataset="imagenet", experts="4").specs()
    assert [spec.base for spec in on_imagenet] == list(NETWORKS) and all(spec.pretrained for spec in on_imagenet)
    assert [spec.pair for spec in Table3Parameters.check(experts="4").specs()] == ["tr10-tr10"]


@pytest.mark.parametrize("wrong", ["75", "0.5,0.5", "half", ""])
def test_thresholds_are_confidences(wrong: str) -> None:
    with pytest.raises(SpecError, match="thresholds: "):
        Table3Parameters.check(thresholds=wrong)
