"""What a mixture is held against gets what the mixture gets, and draws its own images; where exhibits train it."""

from itertools import combinations
from pathlib import Path

import pytest
import torch

from repro.data.augment import Augmentation
from repro.errors import SpecError
from repro.exhibits.figure2_anytime import Parameters as Figure2
from repro.exhibits.table4_dynamic_routing import Parameters
from repro.families.single_gate.controls import (
    EQUAL_INFERENCE,
    EQUAL_TRAINING,
    equal_inference,
    equal_training,
    plain_cost,
    training_epochs,
)
from repro.families.single_gate.scales import default_spec
from repro.families.single_gate.steps import steps
from repro.models.cost import model_cost
from repro.study.sources import Sources


def test_equal_training_by_hand() -> None:
    """One expert, no gate: 12 base epochs of 3 forward passes, 4 expert epochs of trunk + 3 experts."""
    spec = default_spec("laptop", "cifar100").with_(num_experts=1)
    cost = model_cost("tr10", "tr10", 100, 32, 1, 0.25)
    base, experts = spec.base_recipe.epochs, spec.expert_recipe.epochs
    macs = 3 * base * cost.base_macs + experts * (cost.trunk_macs + 3 * cost.expert_macs)
    assert training_epochs(spec) == pytest.approx(macs / (3 * cost.base_macs))
    twenty = spec.with_(num_experts=20)
    more = cost.base_macs + experts * 3 * (0.05 * 19) * cost.expert_macs
    assert training_epochs(twenty) == pytest.approx((macs + more) / (3 * cost.base_macs), rel=1e-4)
    assert 0 <= equal_training(twenty).base_recipe.epochs - training_epochs(twenty) < 1


@pytest.mark.parametrize(("scale", "base", "expert"), [("laptop", "tr10", "tr10"), ("gpu", "tr18", "tr18")])
def test_equal_inference_is_as_near_as_channels_in_fours_allow(scale: str, base: str, expert: str) -> None:
    spec = default_spec(scale, "cifar100").with_(base=base, expert=expert, num_experts=20)
    control = equal_inference(spec)
    assert control is not None
    mixture = model_cost(base, expert, 100, 32, 20, spec.width).macs
    assert plain_cost(control).macs == pytest.approx(mixture, rel=0.03)
    assert equal_inference(default_spec("smoke", "imagenet")) is None, "it has no width"


def test_controls_and_experts_do_not_replay_the_bases_batches(tmp_path: Path) -> None:
    spec = default_spec("smoke", "modes")
    control = spec.with_(role="control")
    seeds = [spec.base_seed, control.base_seed]
    seeds += [spec.seed_for(purpose) for purpose in ("gate", "experts", "ensemblers")]
    seeds.append(spec.with_(em_steps=1).seed_for("experts"))
    source = Sources(tmp_path, torch.device("cpu")).batches(spec, "train", Augmentation(crop="pad", pad=2))
    for one, other in combinations([next(iter(source.train(seed, 0, 64))) for seed in seeds], 2):
        assert not torch.equal(one.indices, other.indices) and not torch.equal(one.images, other.images)
    assert steps(spec).base != steps(control).base


def test_experts_may_take_as_many_steps_as_a_single_one() -> None:
    """Twenty experts at γ = 0.05 see 1/20 + 0.05 * 19/20 = 9.75 % of the images each: 15 epochs become 154."""
    spec = default_spec("gpu", "cifar100").with_(num_experts=20)
    assert spec.recipe_of_experts == spec.expert_recipe
    longer = spec.with_(expert_length="steps")
    assert longer.recipe_of_experts.epochs == round(15 / 0.0975) == 154
    assert steps(longer).base == steps(spec).base and steps(longer).gate == steps(spec).gate
    assert steps(longer).experts[0].work == pytest.approx(154 / 15 * steps(spec).experts[0].work)


def test_where_evidence_is_asked_for_controls_are_trained_without_a_word() -> None:
    parameters = Figure2.check(scale="laptop", dataset="cifar100", pairs="tr10-tr10,tr10-tr18", seeds="0,1")
    controls = parameters.bases()
    assert not Parameters.check(scale="smoke").bases(), "a demonstration has none unless it is asked for"
    assert {spec.role for spec in controls} == {"control"} and len(controls) == 2 * 2 * 2, "seeds, pairs, kinds"
    assert not parameters.model_copy(update={"controls": "none"}).bases()
    trained, plain = EQUAL_TRAINING, EQUAL_INFERENCE
    several = Figure2.check(scale="laptop", dataset="cifar100", experts="10,20")
    ten, twenty = map(several.controls_of, several.specs()[:2])
    assert ten[plain] == twenty[plain] and ten[trained] != twenty[trained], "one cost, whatever the number of experts"
    assert not Parameters(scale="paper", dataset="imagenet").bases(), "the base comes trained"
    assert len(Parameters(scale="paper", dataset="imagenet", pretrained=False).bases()) == 1, "it has no width"
    with pytest.raises(SpecError, match="controls"):
        Parameters.check(controls="some")
