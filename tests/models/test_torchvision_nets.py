"""torchvision's networks: the same function in two halves, cut where one says."""

import difflib
from pathlib import Path

import pytest
import torch
import torchvision.models as tv

from repro.errors import SpecError
from repro.models.registry import build_backbone, build_head, init_expert
from repro.models.torchvision_nets import FAMILIES, NETWORKS
from tests.helpers import same

SMALLEST = {  # of each family, with its first and last cut
    "resnet18": ("maxpool", "layer3"),
    "mobilenet_v3_small": ("features.0", "features.11"),
    "convnext_tiny": ("features.0", "features.6"),
    "densenet121": ("features.pool0", "features.transition3"),
    "shufflenet_v2_x0_5": ("maxpool", "stage4"),
    "swin_t": ("features.0", "features.6"),
}


def test_all_are_torchvisions_and_every_family_has_its_smallest_here() -> None:
    assert set(NETWORKS) <= set(tv.list_models(module=tv)) and len(set(NETWORKS)) == len(NETWORKS)
    assert all(any(name in family.names for name in SMALLEST) for family in FAMILIES)


@pytest.mark.parametrize("name", [*SMALLEST, "mobilenet_v2", "efficientnet_b0"])
def test_trunk_and_head_are_torchvisions_network_wherever_it_is_cut(name: str) -> None:
    """The same seed gives the same weights, and these the same logits, to the last bit."""
    images = torch.randn(2, 3, 64, 64)
    torch.manual_seed(0)
    theirs = tv.get_model(name, weights=None, num_classes=7).eval()
    with torch.no_grad():
        expected = theirs(images)
    for cut in (name, *(f"{name}@{stage}" for stage in SMALLEST.get(name, ()))):
        torch.manual_seed(0)
        ours = build_backbone(cut, 7).eval()
        with torch.no_grad():
            features = ours.trunk(images)
            before = features.clone()
            assert torch.equal(ours(images), expected) and torch.equal(ours.head(features), expected)
        assert torch.equal(features, before), "the head writes into what the trunk says: experts would see other things"
        assert ours.trunk_channels in features.shape
        assert same(init_expert(ours, build_head(cut, 7)), ours.head)


def test_the_usual_places() -> None:
    """Table 3's, under which its costs come out; of others, half of the stages."""
    same = {
        "resnet18": "layer2",
        "mobilenet_v3_small": "features.7",
        "resnet50": "layer2",
        "convnext_tiny": "features.3",
    }
    for name, stage in same.items():
        with torch.device("meta"):
            usual, named = build_backbone(name, 5), build_backbone(f"{name}@{stage}", 5)
        assert list(usual.state_dict()) == list(named.state_dict()), name


def test_stored_weights_keep_their_names() -> None:
    with torch.device("meta"):
        resnet, mobilenet = (build_backbone(name, 5).state_dict() for name in ("resnet18", "mobilenet_v3_small"))
    assert {"trunk.0.weight", "trunk.4.0.conv1.weight", "head.features.blocks.0.0.conv1.weight"} <= set(resnet)
    assert {"trunk.0.0.weight", "head.features.blocks.8.block.0.0.weight", "head.features.before_fc.0.weight"} <= set(
        mobilenet
    )


def test_a_place_that_is_none_is_said_with_those_there_are() -> None:
    for stage in ("layer4", "layer9"):
        with pytest.raises(SpecError, match=rf"can be cut after maxpool, layer1, layer2, layer3, not after '{stage}'"):
            build_backbone(f"resnet18@{stage}", 5)


@pytest.mark.parametrize("name", ["resnet19", "efficientnetb0", "vgg19", "convnext", "nothing of the kind"])
def test_unknown_names_end_in_the_nearest(name: str) -> None:
    with pytest.raises(
        SpecError, match=f"unknown backbone '{name}'; choose one of tr10.*torchvision, such as "
    ) as said:
        build_backbone(name, 5)
    near = difflib.get_close_matches(name, NETWORKS, 1, 0.5)
    assert not near or near[0] in str(said.value)


def test_fine_tuning_begins_at_torchvisions_weights_but_for_the_last_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    given = tv.mobilenet_v3_small().state_dict()
    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    address = tv.get_model_weights("mobilenet_v3_small")["IMAGENET1K_V1"].url
    torch.save(given, checkpoints / address.rsplit("/")[-1])
    base = build_backbone("mobilenet_v3_small", 5, start="imagenet")
    assert torch.equal(base.trunk.state_dict()["0.0.weight"], given["features.0.0.weight"])
    assert torch.equal(base.head.features.state_dict()["before_fc.0.weight"], given["classifier.0.weight"])
    assert base.head.fc.weight.shape == (5, given["classifier.3.weight"].shape[1])
