"""A whole study on real images, in its smallest form: it learns something, and says so in its record."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from repro.analysis.ensemblers import bagging
from repro.analysis.outputs import accuracy
from repro.families.single_gate.scales import default_spec
from repro.families.single_gate.study import Study


@pytest.mark.real
def test_two_experts_on_cifar100(real_data_root: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "cifar-100-python").symlink_to(real_data_root("cifar-100-python") / "cifar-100-python")
    spec = default_spec("laptop", "cifar100")
    one_epoch = {**spec.base_recipe.model_dump(), "epochs": 1}
    spec = spec.with_(width=0.0625, num_experts=2, base_recipe=one_epoch, expert_recipe=one_epoch)
    study = Study([spec], tmp_path, torch.device("cpu"))
    outputs = study.run(spec)
    assert outputs.expert_logits.shape == (10_000, 2, 100)
    # Chance is 1 %; one epoch of the narrowest network reaches several times that.
    assert accuracy(outputs.base_logits, outputs.labels) > 4
    assert accuracy(bagging(outputs), outputs.labels) > accuracy(outputs.base_logits, outputs.labels)
