"""What the families' golden tests share: tiny studies are run again, and what they say is held against ``golden.json``.

It has parts by name of each study: numbers, which agree within a tolerance; experts as text, of which a few may differ,
where two are nearly as good; and, under ``drawn``, what is exact. After a change that is meant to change numbers: raise
the revision, then `uv run python -m tests.families.FAMILY.test_golden` writes the file anew.
"""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from repro.study.artifact import Artifact
from repro.study.graph import Goal
from repro.study.runner import Runner
from repro.training.recipe import Recipe
from tests.study.toy import context

ROWS = 6
# Processors add in different orders: their sums agree to about 1e-6, and a few training steps lose two digits of it.
# bf16 has three digits, and processors round its products differently, which the usual rate makes other networks of:
# it is trained slowly (as fp32 is then, it differs by 0.026 at most). Any change of what is trained on is larger.
SLOWLY = 1e-3
# Gates are stored in bf16: where one is rounded otherwise, it is by 0.008. Of DeepMoE's gates on inputs, behind three
# trainings, logits differ by 0.014 at most.
TOLERANCE = {"bf16": 0.05, "inputs": 0.03, "gates": 0.03}
USUAL_TOLERANCE = 3e-3
RELATIVE = {"training: importance", "training: load"}  # far below any tolerance that is absolute
NEAR_TIES = 0.05

Parts = dict[str, Any]


def checksums(tensor: Tensor) -> Any:
    """A number for each of the first rows (and each expert): no two orders of its entries have the same."""
    weights = torch.cos(torch.arange(tensor.shape[-1], dtype=torch.float64))
    return (tensor[:ROWS].double() @ weights).tolist()


def spelled(experts_NTK: Tensor) -> list[str]:
    """The experts of each token of the first rows, a digit each, best first."""
    return ["".join(map(str, row.flatten().tolist())) for row in experts_NTK[:ROWS]]


def training(artifact: Artifact) -> Parts:
    """What the last epoch of a training reports: loss, auxiliary losses, statistics."""
    loss, _, _, means = artifact.history[-1]
    return {"training: loss": loss, **{f"training: {name}": value for name, value in means.items()}}


def slowly(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"learning_rate": SLOWLY})


def made(goals: list[Goal], root: Path) -> Runner:
    """The runner that has made them."""
    runner = Runner(goals, context(root))
    runner.run([step for goal in goals for step in goal.steps])
    return runner


def numbers_of(ways: Iterable[str], of_way: Callable[[str, Path], dict[str, Parts]], root: Path) -> dict[str, Parts]:
    """What ``of_way`` finds of each way and a folder, on one thread; in bf16 that of this name, the others in fp32."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    numbers: dict[str, Parts] = {}
    try:
        for name in ways:
            folder = root / ("bf16" if name == "bf16" else "fp32")
            with mock.patch("repro.training.device.bf16_is_fast", return_value=name == "bf16"):
                numbers |= of_way(name, folder)
    finally:
        torch.set_num_threads(threads)
    return numbers


def hold(now: dict[str, Parts], test: str) -> None:
    """Fail, naming what has other numbers than in the file beside ``test``."""
    folder = Path(test).parent
    before = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    assert now.pop("drawn", None) == before.pop("drawn", None)
    wrong, where = ", ".join(differing(now, before)), f"repro/families/{folder.name}/steps.py"
    assert not wrong, f"other numbers than before: {wrong}; raise their REVISIONS in {where}"


def differing(now: dict[str, Parts], before: dict[str, Parts]) -> Iterator[str]:
    """The names of what is not as before."""
    assert {name: set(parts) for name, parts in now.items()} == {name: set(parts) for name, parts in before.items()}
    for name, parts in before.items():
        for part, value in parts.items():
            of_part = (TOLERANCE[key] for key in (name.partition(",")[0], part) if key in TOLERANCE)
            tolerance = max(of_part, default=USUAL_TOLERANCE)
            text = isinstance(value, list) and isinstance(value[0], str)
            a, b = (
                torch.tensor([list(row.encode()) for row in each] if text else each, dtype=torch.float64)
                for each in (now[name][part], value)
            )
            close = torch.isclose(a, b, rtol=tolerance, atol=0 if part in RELATIVE else tolerance)
            if (a != b).double().mean() > NEAR_TIES if text else not close.all():
                yield f"{name}: {part}"


def each_revision_is_in_a_key(by_kind: Callable[[], dict[str, str]], *revisions: dict[str, int]) -> None:
    """``by_kind`` finds anew the key of a step of each kind."""
    before = by_kind()
    assert set(before) == {kind for each in revisions for kind in each}
    for each in revisions:
        for kind in each:
            with mock.patch.dict(each, {kind: each[kind] + 1}):
                assert by_kind()[kind] != before[kind]
    assert by_kind() == before


def write(numbers: Callable[[Path], dict[str, Parts]], test: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps(numbers(Path(folder)), indent=1) + "\n"
    Path(test).with_name("golden.json").write_text(text, encoding="utf-8")
