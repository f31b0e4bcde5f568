"""What cannot be run is said before any work, in a sentence that names the parameter."""

import pytest

from repro.errors import SpecError
from repro.exhibits import exhibit

GPU = {"scale": "gpu", "dataset": "cifar100"}


@pytest.mark.parametrize(
    ("name", "asked"),
    [("three_families", {"families": "sparse", "budgets": "middle", "elsewhere": 0}), ("sparse_placement", {})],
)
def test_sparse_layers_are_trained_on_tiny_imagenet_too(name: str, asked: dict[str, object]) -> None:
    laptop = exhibit(name).parameters.check(scale="laptop", dataset="tiny-imagenet", **asked)
    assert all('"image_size":32' in goal.config for goal in laptop.goals())


@pytest.mark.parametrize(
    ("name", "wrong", "sentence"),
    [
        ("table1_main", {"pairs": "tr10"}, "write base-expert"),
        ("table1_main", {"fewer_seeds": "tr50:1"}, "tr50 is no row of this run"),
        ("table1_main", {"fewer_seeds": "tr18"}, "write row:count"),
        ("table1_main", {"controls": "tr18-tr18"}, "tr18-tr18 is no pair of this run"),
        ("table1_main", {"pairs": "none", "backbones": "none"}, "nothing is left to run"),
        ("table3_imagenet", {"thresholds": "75"}, "thresholds: "),
        ("table3_imagenet", {"thresholds": "0.5,0.5"}, "thresholds: "),
        ("table3_imagenet", {"thresholds": "half"}, "thresholds: "),
        ("table3_imagenet", {"thresholds": ""}, "thresholds: "),
        ("table4_dynamic_routing", {"pair": "tr18"}, "write base-expert"),
        ("appendix_em", {"em_steps": "1,2"}, "em_steps: .*should begin with 0"),
        ("appendix_em", {"experts": 1}, "experts: "),
        ("appendix_specialisation", {"experts": "1,5"}, "experts: .*two or more"),
        ("unstated_choices", {"alternatives": "γ = 7"}, "alternatives: there is no .*; choose of"),
        ("unstated_choices", {"alternatives": "γ = 0, and more"}, "alternatives: there is no .*; choose of"),
        ("unstated_choices", {"alternatives": 5}, "alternatives: .*names"),
        ("deepmoe_table2_cifar", {"epochs": 1}, "at least one epoch each"),
        ("deepmoe_table2_cifar", {"gate_at": "input", "beside": "VGG16 W1-Mid"}, "^beside: VGG16 W1-Mid .*gate_at"),
        ("deepmoe_table2_cifar", {"narrow": 2, "beside": "8 times as wide"}, "^narrow 2 and beside 8 times as wide"),
        ("deepmoe_table2_cifar", {"narrow": 2, "wide": 8}, "^narrow 2 and wide 8 make a width of 16, above 8"),
        ("sparse_placement", {"scale": "paper"}, "scale 'paper' has no 'modes'; choose one of imagenet"),
        ("sparse_placement", {"others": "wider"}, "others: there is no .wider.; choose of equal-parameters, "),
        ("sparse_placement", {"placements": "first-2"}, "placement"),
        ("sparse_placement", {"network": "vit-micro", "placements": "stage"}, "needs stages"),
        ("three_families", {"families": "dense"}, "families: there is no 'dense'; choose of single-gate, DeepMoE"),
        ("three_families", {"budgets": "huge"}, "budgets: there is no 'huge'; choose of small, middle, large"),
        ("three_families", {"scale": "paper", "dataset": "cifar100"}, "scale 'paper' has no 'cifar100'"),
        ("three_families", {**GPU, "families": "DeepMoE-native"}, "budgets: a mixture on resnet20 was"),
    ],
)
def test_what_cannot_be_run_is_said(name: str, wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        exhibit(name).parameters.check(**{"scale": "smoke", **wrong})
