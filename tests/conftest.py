"""One thread a process, no waiting for a disk, long files first; and the real image sets, where they are present."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Tests are small and start processes of their own: with several threads each they would wait for one another's
# turn, on a busy machine for minutes. Set before torch is imported, and inherited by every process.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.records import made_up as made_up
from tests.records import record_of as record_of
from tests.stopping import stops as stops

if TYPE_CHECKING:
    import torch

    from repro.families.single_gate.config import StudySpec
    from repro.families.single_gate.study import Study

LONGEST = (
    "test_three_families.py", "notebooks/test_all.py", "test_direct.py", "test_printed_commands.py",
    "test_own_data.py", "test_deepmoe_table2_cifar.py", "single_gate/test_golden.py", "test_readme.py",
    "test_chapters.py", "test_workers.py",
)  # fmt: skip
"""Files that take longest, in this order: begun last, one would be waited for by a worker that has nothing to do."""

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; the others as they were collected."""
    items.sort(key=lambda item: next((i for i, name in enumerate(LONGEST) if item.path.match(name)), len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def no_waiting() -> Iterator[None]:
    """No file has to outlive a power cut, and what two workers wait for is made in a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        patch.setattr("repro.study.locks.POLL", (0.05, 0.1))
        yield


@pytest.fixture
def real_data_root() -> Callable[..., Path]:
    """``real_data_root("cifar-100-python")`` is the data folder, or skips naming what is not in it."""
    root = Path(os.environ.get("REPRO_DATA", REPOSITORY / "data"))

    def root_with(*needed: str) -> Path:
        for name in needed:
            if not (root / name).exists():
                pytest.skip(f"{root / name} is missing; see data/README.md for how to get it")
        return root

    return root_with


@pytest.fixture
def picture_folder(tmp_path: Path) -> Path:
    """A folder of small pictures, ``train`` and ``val``: three classes of a colour each, 40 and 10 a class."""
    return write_pictures(tmp_path / "My Pictures", {"train": 40, "val": 10})


def write_pictures(folder: Path, counts: dict[str, int], size: tuple[int, int] = (40, 36)) -> Path:
    """``folder/<part>/<class>/<i>.png`` of noise whose strongest colour is the class; a part "" lies in the folder."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0)
    for part, count in counts.items():
        for label, name in enumerate(("apple", "leaf", "sky")):
            within = folder / part / name
            within.mkdir(parents=True)
            for i in range(count):
                pixels = noise.integers(0, 150, (size[1], size[0], 3), dtype=np.uint8)
                pixels[..., label] += 80
                Image.fromarray(pixels).save(within / f"{i:03d}.png")
    return folder


@pytest.fixture(params=["cpu", "cuda"])
def any_device(request: pytest.FixtureRequest) -> torch.device:
    """The tests of a GPU run here on the same functions, and are skipped, with a reason, where there is none."""
    import torch

    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no GPU here")
    return torch.device(request.param)


@pytest.fixture
def fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Single precision, whatever is fast here."""
    monkeypatch.setattr("repro.training.device.bf16_is_fast", lambda where: False)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notebooks run in this process, not in a kernel of their own."""
    from papermill.engines import papermill_engines

    from repro.report.engine import InProcessEngine

    monkeypatch.setitem(papermill_engines._engines, None, InProcessEngine)


def shared(factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder of the session, one for all workers of xdist; a store's locks see to it that each thing is made once."""
    base = factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    root.mkdir(exist_ok=True)
    return root


@pytest.fixture(scope="session")
def smoke_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One root for runs at smoke scale: what one exhibit trains the next finds."""
    return shared(tmp_path_factory, "smoke")


@pytest.fixture(scope="session")
def table2_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One and three experts at smoke scale, whole, with their record; nobody writes into it."""
    from repro.exhibits.table2_num_experts import Parameters, run
    from repro.study.locks import Lock

    root = shared(tmp_path_factory, "table2")
    with Lock(root.with_name("table2.lock"), "Table 2").held():
        if not (root / "results").exists():
            run(Parameters.check(root=root, scale="smoke", experts="1,3", controls="none", device="cpu"))
    return root


@pytest.fixture(scope="session")
def tiny() -> StudySpec:
    """Three experts on 400 images of ``modes``, smoke recipes: a study that trains in a second or two."""
    from repro.families.single_gate.scales import default_spec

    return default_spec("smoke", "modes").with_(width=0.0625, num_experts=3)


@pytest.fixture(scope="session")
def study(tiny: StudySpec, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """It, trained: one store for all workers, to which more may be added."""
    import torch

    from repro.families.single_gate.study import Study

    study = Study([tiny], shared(tmp_path_factory, "tiny"), torch.device("cpu"))
    study.run(tiny)
    return study
