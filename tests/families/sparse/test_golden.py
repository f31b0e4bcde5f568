"""Sparse networks make the numbers that they made before; if not, a revision has to be raised (``tests/golden.py``).

A ConvNeXt whose tokens go to one expert, a ViT whose tokens go to two, and the former in bf16.
"""

from pathlib import Path
from typing import Any

import torch

from repro.data.augment import Augmentation
from repro.families.sparse.scales import SparseSpec, sparse_spec
from repro.families.sparse.steps import REVISIONS, chosen_experts, goal, load_network, steps
from repro.randomness import seeded
from repro.training.device import autocast
from tests import golden

WAYS: dict[str, dict[str, Any]] = {
    "top 1": {"layer_scale": 1.0},  # at its usual start of 1e-6 no expert would be heard of
    "top 2": {"network": "vit-micro", "top_k": 2, "gate": "cos", "batch_prioritised": False, "renormalise": True},
    "bf16": {"layer_scale": 1.0},
}


def spec_of(name: str) -> SparseSpec:
    """With noise and capacity, which are the usual ones, and drop path."""
    spec = sparse_spec("smoke", "modes", 0, num_experts=4, drop_path=0.2, **WAYS[name])
    return spec.model_copy(update={"recipe": golden.slowly(spec.recipe)}) if name == "bf16" else spec


def of_way(name: str, root: Path) -> dict[str, golden.Parts]:
    """Checksums of logits ``[6]`` and each token's experts, as predicted and in a step of training (4: no place)."""
    spec = spec_of(name)
    runner = golden.made([goal(spec)], root)
    network, predictions = (runner.load(step) for step in steps(spec))
    source = runner.context.sources.batches(spec, "evaluation", Augmentation())
    with seeded(0, "golden"), torch.no_grad(), autocast(source.labels.device):
        out = load_network(spec, network).train()(next(iter(source.clean(golden.ROWS))).images)
    parts = {
        "logits": golden.checksums(predictions.tensors["logits"]),
        "drawn logits": golden.checksums(out.logits),
        **golden.training(network),
    }
    for i, (experts_MTK, choice) in enumerate(
        zip(chosen_experts(spec, predictions.tensors), out.choices, strict=True), 1
    ):
        experts_NK = choice.experts_NK.where(choice.kept_NK, spec.model.num_experts)
        parts[f"experts {i}"] = golden.spelled(experts_MTK)
        parts[f"drawn experts {i}"] = golden.spelled(experts_NK.unflatten(0, (golden.ROWS, -1)))
    return {name: parts}


def numbers(root: Path) -> dict[str, golden.Parts]:
    return golden.numbers_of(WAYS, of_way, root)


def test_the_numbers_are_those_of_before(tmp_path: Path) -> None:
    golden.hold(numbers(tmp_path), __file__)


def test_each_kind_has_a_revision_in_its_key() -> None:
    def by_kind() -> dict[str, str]:
        steps.cache_clear()
        return {step.kind: step.key for step in steps(spec_of("top 1"))}

    golden.each_revision_is_in_a_key(by_kind, REVISIONS)


if __name__ == "__main__":
    golden.write(numbers, __file__)
