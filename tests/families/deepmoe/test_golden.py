"""DeepMoE makes the numbers that it made before; if not, a revision has to be raised (``tests/golden.py``).

Gates on what is written, from scratch; on what is read, from a plain network; and in bf16: after either stage. All are
trained slowly: at a rate of 0.05, in fp32, logits differed by 0.8 where sums were made in another order.
"""

from pathlib import Path
from typing import Any

import torch

from repro.families.deepmoe.config import DeepMoEConfig
from repro.families.deepmoe.cost import deepmoe_cost
from repro.families.deepmoe.steps import REVISIONS, Asked, goal, steps, two_stages
from repro.families.single_gate.scales import default_spec
from repro.study.graph import ordered
from tests import golden

USUAL = default_spec("smoke", "modes").with_(width=0.0625)
SPEC = USUAL.with_(base_recipe=golden.slowly(USUAL.base_recipe))
WAYS: dict[str, dict[str, Any]] = {
    "outputs": {},
    "inputs": {"gate_at": "input", "embedding_output": "relu", "lambda_reaches": "all", "l1": "sum", "lam": 0.01,
               "start": "plain"},
    "bf16": {},
}  # fmt: skip


def asked(name: str) -> Asked:
    """Procedure 1 in an epoch a stage, of 25 steps each."""
    one, two = two_stages(SPEC.base_recipe.model_copy(update={"batch_size": 16}))
    model = DeepMoEConfig(backbone="tr10", width=0.0625, num_classes=20, **WAYS[name])
    return Asked(spec=SPEC, model=model, recipe=one, recipe_two=two)


def of_way(name: str, root: Path) -> dict[str, golden.Parts]:
    """Checksums of logits ``[6]`` and of each layer's gates ``[L, 6]``, after stage one and after both."""
    whole, by_stage = asked(name), {}
    stages = {"jointly": whole.model_copy(update={"recipe_two": None}), "gates frozen": whole}
    runner = golden.made([goal(of) for of in stages.values()], root)
    for stage, of in stages.items():
        tensors, cost = runner.load(steps(of)).tensors, deepmoe_cost(of.model)
        assert torch.equal(tensors["macs"], cost.macs(tensors["gates"]))
        by_stage[f"{name}, {stage}"] = {
            "logits": golden.checksums(tensors["logits"]),
            "embedding": golden.checksums(tensors["embedding_logits"]),
            "gates": [golden.checksums(gates) for gates in tensors["gates"].split(cost.sizes, 1)],
            **golden.training(runner.load(steps(of).needs[0])),
        }
    return by_stage


def numbers(root: Path) -> dict[str, golden.Parts]:
    """Those of every way."""
    return golden.numbers_of(WAYS, of_way, root)


def test_the_numbers_are_those_of_before(tmp_path: Path) -> None:
    golden.hold(numbers(tmp_path), __file__)


def test_a_stage_and_a_start_are_steps_of_their_own_and_what_differs_later_shares_what_is_before_it() -> None:
    def kinds(of: Asked) -> list[str]:
        return [step.kind for step in ordered(goal(of).steps)]

    whole = asked("outputs")
    assert kinds(whole) == ["deepmoe", "deepmoe-frozen", "predictions"]
    assert kinds(asked("inputs")) == ["base", *kinds(whole)]
    one = whole.model_copy(update={"recipe_two": None})
    assert kinds(one) == ["deepmoe", "predictions"] and ordered(goal(one).steps)[0] in ordered(goal(whole).steps)
    for part, field, value in (("model", "lam", 0.5), ("spec", "seed", 1)):
        other = whole.model_copy(update={part: getattr(whole, part).model_copy(update={field: value})})
        assert not set(ordered(goal(whole).steps)) & set(ordered(goal(other).steps))


def test_each_kind_has_a_revision_in_its_key() -> None:
    def by_kind() -> dict[str, str]:
        return {step.kind: step.key for step in ordered(goal(asked("outputs")).steps)}

    golden.each_revision_is_in_a_key(by_kind, REVISIONS)


if __name__ == "__main__":
    golden.write(numbers, __file__)
