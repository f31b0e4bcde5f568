"""Equations (6) to (8) by hand, and collapse; a small DeepMoE on modes: both stages resumed to the same bits."""

from math import log
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch._dynamo.utils import counters

from repro.data.augment import Augmentation
from repro.data.batches import Batch, DeviceBatches
from repro.data.modes import make_modes
from repro.errors import TrainingError
from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.model import DeepMoE, DeepMoEOutput, Gating, build
from repro.families.deepmoe.training import (
    check_collapse,
    lam_at,
    objective,
    predict,
    sparsity,
    stage_one,
    train_jointly,
    train_with_gates_frozen,
)
from repro.randomness import seeded_init
from repro.training import compiling
from repro.training.fit import Epoch
from repro.training.recipe import Recipe
from tests.helpers import same
from tests.stopping import Stop

CPU = torch.device("cpu")
CONFIG = DeepMoEConfig(backbone="tr10", width=0.0625, num_classes=20, lam=0.1, lambda_reaches="all")
CROP = Augmentation(crop="pad", pad=2)
RECIPE = Recipe(source="a test", epochs=3, batch_size=50, learning_rate=0.05, weight_decay=5e-4, augmentation=CROP)
BY_HAND = DeepMoEConfig(
    backbone="tr10", width=0.0625, num_classes=3, lam=0.1, mu=2.0, lambda_warmup=0.0, lambda_reaches="all"
)


def batch(n: int = 12) -> Batch:
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 3
    return Batch(torch.randn(n, 3, 32, 32, generator=draw) + labels[:, None, None, None], labels, torch.arange(n))


def test_equation_6_gates_are_relu_of_w_e_without_bias_and_begin_near_one() -> None:
    for output in ("softmax", "relu"):
        with seeded_init(0, "test"):
            model = build(BY_HAND.model_copy(update={"embedding_output": output}))
        gates, _, _ = model.gating(batch(64).images)
        assert 0.5 < gates.mean().item() < 2 and (gates > 0).float().mean().item() > 0.99
    gating = Gating((4,), 2, 3).eval()
    with torch.no_grad():
        gating.classifier.weight.zero_()
        gating.classifier.bias.copy_(torch.tensor([log(3.0), 0.0]))  # e = (3/4, 1/4)
        gating.heads.weight.copy_(torch.tensor([[1.0, 1.0], [4.0, -4.0], [-1.0, 2.0]]))
        gates, e, logits = gating(torch.randn(2, 3, 8, 8))
    torch.testing.assert_close(e, torch.tensor([[0.75, 0.25]]).expand(2, 2))
    torch.testing.assert_close(gates, torch.tensor([[1.0, 2.0, 0.0]]).expand(2, 3))
    torch.testing.assert_close(logits, torch.tensor([[log(3.0), 0.0]]).expand(2, 2))
    assert [name for name, _ in gating.heads.named_parameters()] == ["weight"]
    gating, images = Gating((4,), 2, 3, "relu").eval(), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(gating(images)[0], F.relu(gating.features(images) @ gating.heads.weight.T))
    assert gating.heads.in_features == 4


GATES = torch.tensor([[1.0, 0.0, 3.0, 2.0, 0.0], [0.0, 0.0, 0.0, 4.0, 2.0]])  # layers of 3 and 2 channels


def test_equation_8_and_lambda_by_hand() -> None:
    assert sparsity(GATES, [3, 2], "sum") == pytest.approx(((4 + 2) + (0 + 6)) / 2)
    assert sparsity(GATES, [3, 2], "mean") == pytest.approx(((4 / 3 + 2 / 2) + (0 + 6 / 2)) / 2)
    rising = BY_HAND.model_copy(update={"lam": 2.0, "lambda_warmup": 0.2})
    assert [lam_at(rising, done) for done in (0.0, 0.1, 0.2, 0.9)] == [0.0, 1.0, 2.0, 2.0]
    assert lam_at(BY_HAND, 0.0) == 0.1


def test_equation_7_by_hand() -> None:
    """Base right with probability 1/2, embedding with 1/3 (uniform): ln 2 + λ 16/6 + μ ln 3."""
    logits = torch.tensor([[log(2.0), 0.0, 0.0], [0.0, log(2.0), 0.0]])
    out = DeepMoEOutput(logits, GATES, torch.ones(2, 3) / 3, torch.zeros(2, 3))
    step = objective(BY_HAND, RECIPE, out, torch.tensor([0, 1]), [3, 2], 0.0, GATES)
    assert step.loss == pytest.approx(log(2), rel=1e-5)
    assert step.auxiliary["gates"] == pytest.approx(0.1 * ((4 / 3 + 1) + 3) / 2, rel=1e-5)
    assert step.auxiliary["embedding"] == pytest.approx(2 * log(3), rel=1e-5)
    assert set(step.auxiliary) == {"gates", "embedding"} and (int(step.correct), step.samples) == (2, 2)
    torch.testing.assert_close(step.statistics["active"].float(), torch.tensor([2 / 6, 3 / 4]))


@pytest.mark.parametrize("reaches", ["all", "heads"])
def test_what_the_gradient_of_lambda_reaches(reaches: str) -> None:
    with seeded_init(0, "test"):
        config = BY_HAND.model_copy(update={"lambda_reaches": reaches, "mu": 0.0})
        model = build(config)
    stage_one(model, config, RECIPE)(batch(), 0.5).auxiliary["gates"].backward()
    assert model.gating.heads.weight.grad is not None
    assert (model.gating.classifier.weight.grad is None) == (reaches == "heads")


def test_a_collapse_names_layer_epoch_and_remedy() -> None:
    model = build(BY_HAND)
    with torch.no_grad():
        start = sum(model.network.sizes[:2])
        model.gating.heads.weight[start : start + model.network.sizes[2]] = -1
    active = stage_one(model, BY_HAND, RECIPE)(batch(), 0.5).statistics["active"].tolist()
    named = (
        r"collapsed: block 1, convolution 2 had no active channel in epoch 4; lower lam \(0.1\), raise lambda_warmup"
    )
    with pytest.raises(TrainingError, match=named):
        check_collapse(active, model.network.layers, 3, BY_HAND)
    check_collapse([*active[:2], 0.01, *active[3:]], model.network.layers, 3, BY_HAND)


@pytest.fixture(scope="module")
def source() -> DeviceBatches:
    return DeviceBatches(make_modes("train", 200), CROP, CPU)


def fresh() -> DeepMoE:
    with seeded_init(0, "test"):
        return build(CONFIG)


@pytest.mark.usefixtures("fp32")
def test_compiled_it_trains_as_it_does_plain_to_float_noise(source: DeviceBatches) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 1})
    histories: dict[str, list[Epoch]] = {}
    before = compiling.choice()
    for way in ("off", "aot_eager"):
        compiling.choose(way)
        counters.clear()
        try:
            model = fresh()
            histories[way] = train_jointly(model, CONFIG, recipe, source, CPU, seed=1)
            histories[way] += train_with_gates_frozen(model, recipe, source, CPU, seed=1)
        finally:
            compiling.choose(before)
        assert counters["stats"]["unique_graphs"] == {"off": 0, "aot_eager": 3}[way], "all, the gates frozen, the rest"
    for a, b in zip(*histories.values(), strict=True):
        assert a.loss == pytest.approx(b.loss, rel=1e-3) and a.means["active"] == pytest.approx(b.means["active"])


def test_both_stages_go_on_to_the_same_bits(source: DeviceBatches, tmp_path: Path, stops: list[int]) -> None:
    whole, stops[1] = fresh(), 1
    history = train_jointly(whole, CONFIG, RECIPE, source, CPU, seed=1)
    assert len(history) == 3 and history[-1].loss < history[0].loss
    assert set(history[0].means) == {"gates", "embedding", "active"}
    assert len(history[0].means["active"]) == len(whole.network.layers) == 9

    with pytest.raises(Stop):
        train_jointly(fresh(), CONFIG, RECIPE, source, CPU, 1, tmp_path / "one")
    resumed = fresh()
    train_jointly(resumed, CONFIG, RECIPE, source, CPU, 1, tmp_path / "one")
    assert same(whole, resumed)

    after_one = {k: v.clone() for k, v in whole.state_dict().items()}
    train_with_gates_frozen(whole, RECIPE, source, CPU, seed=2)
    changed = {k.partition(".")[0] for k, v in whole.state_dict().items() if not torch.equal(v, after_one[k])}
    assert changed == {"network"}
    tensors = predict(whole, source, CPU)
    assert {name: tuple(t.shape) for name, t in tensors.items()} == {
        "logits": (200, 20), "embedding_logits": (200, 20), "gates": (200, sum(whole.network.sizes)), "labels": (200,),
    }  # fmt: skip

    stops[1] = stops[0] + 2
    with pytest.raises(Stop):
        train_with_gates_frozen(resumed, RECIPE, source, CPU, 2, tmp_path / "two")
    again = fresh()
    again.load_state_dict(after_one)
    train_with_gates_frozen(again, RECIPE, source, CPU, 2, tmp_path / "two")
    assert same(whole, again)


def test_a_collapse_stops_training_and_again_when_it_is_gone_on_with(source: DeviceBatches, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"lam": 8.0, "lambda_warmup": 0.0, "gate_init": "default"})
    recipe = RECIPE.model_copy(update={"epochs": 2, "batch_size": 10, "learning_rate": 0.3})
    for _ in range(2):
        with seeded_init(0, "test"):
            model = build(config)
        with pytest.raises(TrainingError, match=r"collapsed: .* epoch 2; lower lam \(8.0\), raise"):
            train_jointly(model, config, recipe, source, CPU, 0, tmp_path / "checkpoint")
