"""The step of a classifier, and a training that mixes, smooths and draws inside its network."""

import pytest
import torch
from torch import Tensor, nn

from repro.data.augment import Augmentation
from repro.data.batches import Batch, DeviceBatches
from repro.data.modes import make_modes
from repro.errors import TrainingError
from repro.families.single_gate.one_pass import expert_loss
from repro.models.registry import build_head
from repro.training.classifier import classification, train_classifier
from repro.training.fit import Epoch, Step
from repro.training.recipe import Recipe
from tests.helpers import same

CPU = torch.device("cpu")
PLAIN = Recipe(source="test", epochs=2, batch_size=16, learning_rate=0.05)
MIXED = PLAIN.model_copy(update={"mixup": 0.8, "cutmix": 1.0, "label_smoothing": 0.1})
LOGITS = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


@pytest.mark.parametrize(
    ("smoothing", "labels", "target"),
    [
        (0.0, [0, 2], [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
        (0.3, [0, 2], [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]),
        (0.0, [[0.6, 0.4, 0.0], [0.7, 0.3, 0.0]], [[0.6, 0.4, 0.0], [0.7, 0.3, 0.0]]),
    ],
)
def test_cross_entropy_plain_smoothed_and_of_mixed_labels(smoothing: float, labels: list, target: list) -> None:
    """Of mixed labels the most probable class is the right one."""
    step = classification(LOGITS, torch.tensor(labels), PLAIN.model_copy(update={"label_smoothing": smoothing}))
    expected = -(torch.tensor(target) * LOGITS.log_softmax(1)).sum(1).mean()
    assert float(step.loss) == pytest.approx(float(expected)) and (int(step.correct), step.samples) == (1, 2)


def trained(recipe: Recipe) -> tuple[nn.Module, list[Epoch], list[Tensor]]:
    torch.manual_seed(0)
    source = DeviceBatches(make_modes("train", 64), Augmentation(), CPU)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 20), nn.Dropout(0.1))
    labels: list[Tensor] = []

    def step(batch: Batch, done: float) -> Step:
        labels.append(batch.labels)
        return classification(network(batch.images), batch.labels, recipe)

    return network, train_classifier(network, source, recipe, step, CPU, "the test", 0), labels


def test_mixed_images_reach_the_step_and_twice_the_same() -> None:
    (one, history, labels), (two, again, _) = trained(MIXED), trained(MIXED)
    assert all(each.shape == (16, 20) for each in labels) and len(labels) == 8
    assert [e.loss for e in history] == [e.loss for e in again]
    assert same(one, two)


def test_experts_refuse_to_mix() -> None:
    with pytest.raises(TrainingError, match="set mixup and cutmix of the experts' recipe to 0"):
        expert_loss(build_head("tr10", 20, 0.0625), torch.ones(4), "sampling", CPU, MIXED)
