"""The numbers that the code makes are those it made before; if not, a revision has to be raised.

``golden.json`` holds them for tiny studies on one thread: every way to share the data, in single precision, and one
way in bf16. After a change that is meant to change numbers: raise the revision, then
`uv run python tests/families/single_gate/test_golden.py` writes it anew.
"""

import json
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from repro.analysis.outputs import Outputs
from repro.data.augment import Augmentation, draw_epoch
from repro.data.batches import epoch_order
from repro.families.single_gate.experts import chosen_images
from repro.families.single_gate.scales import default_spec
from repro.families.single_gate.steps import REVISIONS, steps
from repro.families.single_gate.study import Study
from repro.study import plain

GOLDEN = Path(__file__).with_name("golden.json")
ROWS = 6
WAYS: dict[str, dict[str, Any]] = {
    "hard": {},
    "soft": {"routing": {"similarity": "soft"}, "stacking": False},
    "re-weighting": {"sharing": "reweighting", "stacking": False},
    "per class": {"routing": {"level": "per-class"}, "stacking": False},
    "one E-step": {"em_steps": 1, "stacking": False},
    "bf16": {"stacking": False},
}
# Processors add in different orders: their sums agree to about 1e-6, and a few training steps lose two digits of it.
# bf16 has three digits, and processors round its products differently, which the usual rate makes other networks of:
# it is trained slowly (as fp32 is then, it differs by 0.026 at most). Any change of what is trained on is larger.
SLOWLY = 1e-3
TOLERANCE = {"bf16": 0.05}
USUAL_TOLERANCE = 3e-3


def checksums(tensor: Tensor) -> Any:
    """A number for each of the first rows (and each expert): no two orders of its entries have the same."""
    weights = torch.cos(torch.arange(tensor.shape[-1], dtype=torch.float64))
    return (tensor[:ROWS].double() @ weights).tolist()


def rows(outputs: Outputs) -> dict[str, Any]:
    """Checksums of base ``[6]``, experts ``[6, K]``, and the gate's probabilities ``[6, K]`` themselves."""
    return {
        "base": checksums(outputs.base_logits),
        "experts": checksums(outputs.expert_logits),
        "gate": outputs.gate_probs[:ROWS].double().tolist(),
    }


def numbers(root: Path) -> dict[str, Any]:
    """Checksums of every way's outputs, of losses and ensemblers; and what is drawn, which is exact."""
    usual = default_spec("smoke", "modes").with_(width=0.0625, num_experts=3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    try:
        for name, changes in WAYS.items():
            spec, folder = usual.with_(**changes), root / ("bf16" if name == "bf16" else "fp32")
            if name == "bf16":
                recipes = {"base_recipe": spec.base_recipe, "expert_recipe": spec.expert_recipe}
                slow = {k: recipe.model_copy(update={"learning_rate": SLOWLY}) for k, recipe in recipes.items()}
                spec = spec.with_(**slow)
            with mock.patch("repro.training.device.bf16_is_fast", return_value=name == "bf16"):
                study = Study([spec], folder, torch.device("cpu"))
                found[name] = rows(study.run(spec))
                if name == "hard":
                    found["losses"] = {"experts": study.losses(spec).experts[:ROWS].double().tolist()}
                    weights = torch.stack([next(iter(s.state_dict().values())) for s in study.stackers(spec)])
                    found["ensemblers"] = {"weights": checksums(weights.flatten(1))}
    finally:
        torch.set_num_threads(threads)
    draws = draw_epoch(Augmentation(crop="pad", pad=4, flip=True, cutout=8), 50, 32, 1, 2)
    found["drawn"] = {
        "order": epoch_order(20, 1, 2).tolist(),
        "chosen": chosen_images(torch.full((40,), 0.3), 1, 2, 3).nonzero()[:, 0].tolist(),
        "offsets": draws.offset[:8].tolist(),
        "flips": draws.flip[:20].int().tolist(),
    }
    return found


def differing(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """The names of what is not as before."""
    assert set(now) == set(before)
    return [
        f"{name}: {part}"
        for name, parts in before.items()
        for part, value in parts.items()
        if not torch.allclose(
            torch.tensor(now[name][part], dtype=torch.float64), torch.tensor(value, dtype=torch.float64),
            rtol=TOLERANCE.get(name, USUAL_TOLERANCE), atol=TOLERANCE.get(name, USUAL_TOLERANCE),
        )
    ]  # fmt: skip


def test_the_numbers_are_those_of_before(tmp_path: Path) -> None:
    now, before = numbers(tmp_path), json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert now["drawn"] == before["drawn"]
    wrong = differing(now, before)
    assert not wrong, (
        f"other numbers than before: {', '.join(wrong)}; raise their REVISIONS in repro/families/single_gate/steps.py"
    )


def test_each_kind_has_a_revision_in_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = default_spec("smoke", "modes").with_(width=0.0625, num_experts=3)

    def by_kind() -> dict[str, str]:
        of = steps(spec)
        found = (of.base, of.gate, of.experts[0], of.ensemblers[0], of.losses, of.predictions, of.base_predictions)
        return {step.kind: step.key for step in found}

    def forget() -> None:
        plain.plain_steps.cache_clear()
        steps.cache_clear()

    before = by_kind()
    assert set(before) == {*REVISIONS, *plain.REVISIONS}
    for revisions in (REVISIONS, plain.REVISIONS):
        for kind in revisions:
            with monkeypatch.context() as patch:
                patch.setitem(revisions, kind, revisions[kind] + 1)
                forget()
                assert by_kind()[kind] != before[kind]
    forget()
    assert by_kind() == before


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        GOLDEN.write_text(json.dumps(numbers(Path(folder)), indent=1) + "\n", encoding="utf-8")
