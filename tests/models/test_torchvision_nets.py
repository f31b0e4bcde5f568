"""torchvision's networks: the same function in two halves, cut where one says."""

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


@pytest.mark.parametrize("name", [*SMALLEST, "mobilenet_v2"])
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


def test_the_usual_places_and_the_names_of_stored_weights() -> None:
    """Table 3's, under which its costs come out; of others, half of the stages."""
    for name, stage, stored in (
        ("resnet18", "layer2", "head.features.blocks.0.0.conv1.weight"),
        ("mobilenet_v3_small", "features.7", "head.features.before_fc.0.weight"),
        ("resnet50", "layer2", "trunk.4.0.conv1.weight"),
        ("convnext_tiny", "features.3", "trunk.0.0.weight"),
    ):
        with torch.device("meta"):
            usual, named = build_backbone(name, 5), build_backbone(f"{name}@{stage}", 5)
        assert list(usual.state_dict()) == list(named.state_dict()) and stored in usual.state_dict()


def test_unknown_names_end_in_the_nearest_and_places_in_those_there_are() -> None:
    with pytest.raises(SpecError, match=r"unknown backbone 'efficientnetb0'; choose one of tr10.* efficientnet_b0"):
        build_backbone("efficientnetb0", 5)
    with pytest.raises(SpecError, match=r"can be cut after maxpool, layer1, layer2, layer3, not after 'layer4'"):
        build_backbone("resnet18@layer4", 5)


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
