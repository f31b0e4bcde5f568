"""The step of a classifier, and a training that mixes, smooths and draws inside its network."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.data.augment import Augmentation
from repro.data.batches import Batch, DeviceBatches
from repro.data.modes import make_modes
from repro.errors import TrainingError
from repro.families.single_gate.experts import expert_loss
from repro.models.registry import build_head
from repro.training.classifier import classification, train_classifier
from repro.training.fit import Epoch, Step
from repro.training.recipe import Recipe

CPU = torch.device("cpu")
PLAIN = Recipe(source="test", epochs=2, batch_size=16, learning_rate=0.05)
MIXED = PLAIN.model_copy(update={"mixup": 0.8, "cutmix": 1.0, "label_smoothing": 0.1})
LOGITS = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def test_cross_entropy_by_hand() -> None:
    step = classification(LOGITS, torch.tensor([0, 2]), PLAIN)
    rest = [torch.tensor([2.0, 0.0, 0.0]).logsumexp(0) - 2, torch.tensor([0.0, 1.0, 0.0]).logsumexp(0)]
    assert float(step.loss) == pytest.approx(float(sum(rest)) / 2)
    assert (int(step.correct), step.samples) == (1, 2)


def test_smoothing_gives_all_classes_a_share_of_the_target() -> None:
    smooth = PLAIN.model_copy(update={"label_smoothing": 0.3})
    target = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    expected = -(target * LOGITS.log_softmax(1)).sum(1).mean()
    assert float(classification(LOGITS, torch.tensor([0, 2]), smooth).loss) == pytest.approx(float(expected))


def test_of_mixed_labels_the_most_probable_class_is_the_right_one() -> None:
    labels = torch.tensor([[0.6, 0.4, 0.0], [0.7, 0.3, 0.0]])
    step = classification(LOGITS, labels, PLAIN)
    assert int(step.correct) == 1
    assert float(step.loss) == pytest.approx(float(F.cross_entropy(LOGITS, labels)))


@pytest.fixture(scope="module")
def source() -> DeviceBatches:
    return DeviceBatches(make_modes("train", 64), Augmentation(), CPU)


def trained(source: DeviceBatches, recipe: Recipe, seed: int = 0) -> tuple[nn.Module, list[Epoch], list[Tensor]]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 20), nn.Dropout(0.1))
    labels: list[Tensor] = []

    def step(batch: Batch, done: float) -> Step:
        labels.append(batch.labels)
        return classification(network(batch.images), batch.labels, recipe)

    return network, train_classifier(network, source, recipe, step, CPU, "the test", seed), labels


def test_mixed_images_reach_the_step_and_twice_the_same(source: DeviceBatches) -> None:
    (one, history, labels), (two, again, _) = trained(source, MIXED), trained(source, MIXED)
    assert all(each.shape == (16, 20) for each in labels) and len(labels) == 8
    assert [e.loss for e in history] == [e.loss for e in again]
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert trained(source, PLAIN)[2][0].shape == (16,)


def test_experts_refuse_to_mix() -> None:
    with pytest.raises(TrainingError, match="set mixup and cutmix of the experts' recipe to 0"):
        expert_loss(build_head("tr10", 20, 0.0625), torch.ones(4), "sampling", 0, CPU, MIXED)
