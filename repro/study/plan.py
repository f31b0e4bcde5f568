"""What a spec needs, in the order of Algorithm 1, and roughly how much work each part is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from repro.data.catalogue import DATASETS
from repro.models.cost import ModelCost, model_cost
from repro.study.spec import (
    Key,
    StudySpec,
    base_key,
    base_outputs_key,
    ensembler_key,
    expert_key,
    gate_key,
    losses_key,
    outputs_key,
)

BACKWARD = 3  # a training step costs about three forward passes ...
FORWARD = 0.5  # ... and evaluation runs about twice as fast as its multiply-adds say beside training


class Task(NamedTuple):
    """One artifact to be, and its work in multiply-adds (a rough count, for the time left)."""

    key: Key
    work: float


def tasks(spec: StudySpec) -> Iterator[Task]:
    """Every artifact that a spec needs, in order."""
    if spec.em_steps:
        yield from tasks(spec.before_em_step())
    cost = model_cost(spec.base, spec.expert, spec.num_classes, spec.image_size, spec.num_experts, spec.width)
    train, test = _images(spec)
    share = 1 / spec.num_experts + spec.gamma * (1 - 1 / spec.num_experts)
    visits = train * (share if spec.sharing == "sampling" else 1)
    together = spec.trunk_batchnorm == "evaluation"  # one pass of the trunk over all images feeds all experts
    trunk = (train / spec.num_experts if together else visits) * cost.trunk_macs
    yield _base_task(spec, cost, train)
    everything = cost.base_macs + spec.num_experts * cost.expert_macs
    if spec.em_steps:
        yield Task(losses_key(spec.before_em_step()), FORWARD * train * everything)
    yield Task(gate_key(spec), FORWARD * train * cost.base_macs)
    for k in range(spec.num_experts):
        epoch = trunk + visits * BACKWARD * cost.expert_macs
        yield Task(expert_key(spec, k), spec.expert_recipe.epochs * epoch)
        if spec.stacking:
            visited = 1 - (1 - min(visits / train, 1)) ** spec.ensembler_recipe.epochs  # share seen at least once
            yield Task(ensembler_key(spec, k), FORWARD * visited * train * (cost.base_macs + cost.expert_macs))
    yield Task(outputs_key(spec), FORWARD * test * everything)


def tasks_of_base(spec: StudySpec) -> Iterator[Task]:
    """Every artifact that a spec's base model needs to be evaluated alone, in order."""
    cost = model_cost(spec.base, None, spec.num_classes, spec.image_size, 0, spec.width)
    train, test = _images(spec)
    yield _base_task(spec, cost, train)
    yield Task(base_outputs_key(spec), FORWARD * test * cost.base_macs)


def _base_task(spec: StudySpec, cost: ModelCost, train: int) -> Task:
    epochs = 0 if spec.pretrained else spec.base_recipe.epochs
    return Task(base_key(spec), epochs * train * BACKWARD * cost.base_macs)


def _images(spec: StudySpec) -> tuple[int, int]:
    """Images to train on and to evaluate on."""
    if spec.folder:
        return spec.folder.num_train, spec.folder.num_validation + spec.folder.num_test
    card = DATASETS[spec.dataset]
    train, test = spec.num_train or card.num_train, spec.num_test or card.num_test
    return (train, test) if spec.evaluate == "test" else (round(0.9 * train), round(0.1 * train))


def distinct(specs: Iterable[StudySpec], bases: Iterable[StudySpec] = ()) -> dict[str, Task]:
    """The artifacts of several specs by hash, each once: shared ones are made once. Of ``bases`` the base alone."""
    needed = [*(t for spec in specs for t in tasks(spec)), *(t for spec in bases for t in tasks_of_base(spec))]
    return {task.key.hash: task for task in needed}
