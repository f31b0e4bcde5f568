"""What a spec needs, in the order of Algorithm 1, and roughly how much work each part is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from repro.data.catalogue import DATASETS
from repro.models.cost import model_cost
from repro.study.spec import Key, StudySpec, base_key, ensembler_key, expert_key, gate_key, losses_key, outputs_key

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
    card = DATASETS[spec.dataset]
    train = spec.num_train or card.num_train
    test = spec.num_test or card.num_test
    if spec.evaluate == "validation":
        train, test = round(0.9 * train), round(0.1 * train)
    share = 1 / spec.num_experts + spec.gamma * (1 - 1 / spec.num_experts)
    visits = train * (share if spec.sharing == "sampling" else 1)
    epochs = 0 if spec.pretrained else spec.base_recipe.epochs
    yield Task(base_key(spec), epochs * train * BACKWARD * cost.base_macs)
    everything = cost.base_macs + spec.num_experts * cost.expert_macs
    if spec.em_steps:
        yield Task(losses_key(spec.before_em_step()), FORWARD * train * everything)
    yield Task(gate_key(spec), FORWARD * train * cost.base_macs)
    for k in range(spec.num_experts):
        step = cost.trunk_macs + BACKWARD * cost.expert_macs
        yield Task(expert_key(spec, k), spec.expert_recipe.epochs * visits * step)
        if spec.stacking:
            visited = 1 - (1 - min(visits / train, 1)) ** spec.ensembler_recipe.epochs  # share seen at least once
            yield Task(ensembler_key(spec, k), FORWARD * visited * train * (cost.base_macs + cost.expert_macs))
    yield Task(outputs_key(spec), FORWARD * test * everything)


def distinct(specs: Iterable[StudySpec]) -> dict[str, Task]:
    """The artifacts of several specs by hash, each once: shared ones are made once."""
    return {task.key.hash: task for spec in specs for task in tasks(spec)}
