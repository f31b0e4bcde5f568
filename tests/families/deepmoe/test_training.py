"""A small DeepMoE on modes, end to end: both stages, each resumed to the same bits, and its predictions."""

from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters

from repro.data.augment import Augmentation
from repro.data.batches import DeviceBatches
from repro.data.modes import make_modes
from repro.errors import TrainingError
from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.model import DeepMoE, build
from repro.families.deepmoe.training import predict, train_jointly, train_with_gates_frozen
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
