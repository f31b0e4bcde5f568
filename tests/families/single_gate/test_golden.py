"""The numbers that the code makes are those it made before; if not, a revision has to be raised (``tests/golden.py``).

Every way to share the data, in single precision, and one way in bf16.
"""

from pathlib import Path
from typing import Any

import torch

from repro.analysis.outputs import Outputs
from repro.data.augment import Augmentation, draw_epoch
from repro.data.batches import epoch_order
from repro.families.single_gate.one_pass import chosen_images
from repro.families.single_gate.scales import default_spec
from repro.families.single_gate.steps import REVISIONS, steps
from repro.families.single_gate.study import Study
from repro.study import plain
from tests import golden

SPEC = default_spec("smoke", "modes").with_(width=0.0625, num_experts=3)
WAYS: dict[str, dict[str, Any]] = {
    "hard": {},
    "soft": {"routing": {"similarity": "soft"}, "stacking": False},
    "re-weighting": {"sharing": "reweighting", "stacking": False},
    "per class": {"routing": {"level": "per-class"}, "stacking": False},
    "one E-step": {"em_steps": 1, "stacking": False},
    "bf16": {"stacking": False},
}


def rows(outputs: Outputs) -> golden.Parts:
    """Checksums of base ``[6]``, experts ``[6, K]``, and the gate's probabilities ``[6, K]`` themselves."""
    return {
        "base": golden.checksums(outputs.base_logits),
        "experts": golden.checksums(outputs.expert_logits),
        "gate": outputs.gate_probs[: golden.ROWS].double().tolist(),
    }


def of_way(name: str, root: Path) -> dict[str, golden.Parts]:
    """Checksums of its outputs; of one way, losses and ensemblers too."""
    spec = SPEC.with_(**WAYS[name])
    if name == "bf16":
        base, expert = golden.slowly(spec.base_recipe), golden.slowly(spec.recipe_of_experts)
        spec = spec.with_(base_recipe=base, expert_recipe=expert)
    study = Study([spec], root, torch.device("cpu"))
    parts = {name: rows(study.run(spec))}
    if name == "hard":
        parts["losses"] = {"experts": study.losses(spec).experts[: golden.ROWS].double().tolist()}
        weights = torch.stack([next(iter(s.state_dict().values())) for s in study.stackers(spec)])
        parts["ensemblers"] = {"weights": golden.checksums(weights.flatten(1))}
    return parts


def numbers(root: Path) -> dict[str, golden.Parts]:
    """Those of every way; and what is drawn, which is exact."""
    draws = draw_epoch(Augmentation(crop="pad", pad=4, flip=True, cutout=8), 50, 32, 1, 2)
    drawn = {
        "order": epoch_order(20, 1, 2).tolist(),
        "chosen": chosen_images(torch.full((40,), 0.3), 1, 2, 3).nonzero()[:, 0].tolist(),
        "offsets": draws.offset[:8].tolist(),
        "flips": draws.flip[:20].int().tolist(),
    }
    return {**golden.numbers_of(WAYS, of_way, root), "drawn": drawn}


def test_the_numbers_are_those_of_before(tmp_path: Path) -> None:
    golden.hold(numbers(tmp_path), __file__)


def test_each_kind_has_a_revision_in_its_key() -> None:
    def by_kind() -> dict[str, str]:
        plain.plain_steps.cache_clear()
        steps.cache_clear()
        of = steps(SPEC)
        one_of_each = (
            of.base,
            of.gate,
            of.experts[0],
            of.ensemblers[0],
            of.losses,
            of.predictions,
            of.base_predictions,
        )
        return {step.kind: step.key for step in one_of_each}

    golden.each_revision_is_in_a_key(by_kind, REVISIONS, plain.REVISIONS)


if __name__ == "__main__":
    golden.write(numbers, __file__)
