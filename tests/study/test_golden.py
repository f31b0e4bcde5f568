"""The numbers that the code makes are those it made before; if not, a revision has to be raised.

``golden.json`` holds them for a tiny study in single precision on one thread. After a change that is
meant to change numbers: raise the revision, then `uv run python tests/study/test_golden.py` writes it anew.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from repro.data.augment import Augmentation, draw_epoch
from repro.data.batches import epoch_order
from repro.method.experts import chosen_images
from repro.study.pipeline import Study
from repro.study.revisions import BEGINS, code_digest, same_numbers, unlocked
from repro.study.scales import default_spec
from repro.study.spec import REVISIONS, base_key, ensembler_key, expert_key, gate_key, outputs_key

GOLDEN = Path(__file__).with_name("golden.json")
# Processors add in different orders: their sums agree to about 1e-6, and a few training steps lose two digits of it.
# Any change of what is trained on, in what order, or how, is far larger.
TOLERANCE = 1e-3


def numbers(root: Path) -> dict[str, Any]:
    """Losses of every epoch and means of every output, by artifact; and what is drawn, which is exact."""
    spec = default_spec("smoke", "modes").with_(width=0.0625, num_experts=3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with mock.patch("repro.method.device.bf16_is_fast", return_value=False):
            study = Study([spec], root, torch.device("cpu"))
            study.run(spec)
            losses = study.losses(spec)
    finally:
        torch.set_num_threads(threads)
    keys = [base_key(spec), gate_key(spec)]
    keys += [key(spec, k) for k in range(3) for key in (expert_key, ensembler_key)]
    found: dict[str, Any] = {key.label: [epoch[0] for epoch in study.store.load(key).history] for key in keys}
    for name, tensor in study.store.load(outputs_key(spec)).tensors.items():
        found[f"outputs: {name}"] = [float(tensor.double().mean()), float(tensor.double().square().mean())]
    found["losses: experts"] = losses.experts.double().mean(0).tolist()
    draws = draw_epoch(Augmentation(crop="pad", pad=4, flip=True, cutout=8), 50, 32, 1, 2)
    found["drawn"] = {
        "order": epoch_order(20, 1, 2).tolist(),
        "chosen": chosen_images(torch.full((40,), 0.3), 1, 2, 3).nonzero()[:, 0].tolist(),
        "offsets": draws.offset[:8].tolist(),
        "flips": draws.flip[:20].int().tolist(),
    }
    return found


def test_the_numbers_are_those_of_before(tmp_path: Path) -> None:
    now, before = numbers(tmp_path), json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert now.pop("drawn") == before.pop("drawn")
    assert set(now) == set(before)
    wrong = [name for name in before if now[name] != pytest.approx(before[name], rel=TOLERANCE, abs=1e-6)]
    assert not wrong, f"other numbers than before: {', '.join(wrong)}; raise their REVISIONS in repro/study/spec.py"


def test_code_that_makes_artifacts_is_locked() -> None:
    assert not unlocked(), "\n".join(unlocked())


def test_every_kind_of_artifact_has_its_code() -> None:
    assert set(BEGINS) == set(REVISIONS)
    assert len({code_digest(kind) for kind in BEGINS}) == len(BEGINS)
    assert not same_numbers("base", "0" * 16)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        GOLDEN.write_text(json.dumps(numbers(Path(folder)), indent=1) + "\n", encoding="utf-8")
