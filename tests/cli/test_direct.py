"""Exhibits without notebooks: the path of a GPU with little installed, and of a run that has little time."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from repro.cli import main
from repro.cli.direct import remaining_of
from repro.exhibits import names
from repro.exhibits.table2_num_experts import Parameters
from repro.families.single_gate.steps import steps
from repro.study.graph import ordered
from repro.study.results import StudyResult, load_results
from repro.study.store import Store
from repro.training import compiling
from tests.helpers import numbers

ROOT = Path(__file__).parents[2]
FOR_SHOW = ("papermill", "nbformat", "ipykernel", "IPython", "jupyterlab", "seaborn", "pytorch_grad_cam", "pandas")
RUN = "run table2_num_experts -p scale smoke -p experts 1,3 -p controls none".split()  # noqa: SIM905


def recorded(root: Path) -> StudyResult:
    (result,) = load_results(root / "results").values()
    return result


THREE = ("expert", "ensembler", "predictions")


def begun(table2_root: Path, root: Path, *left_out: str) -> Path:
    """A copy of what was trained, without its record and, of three experts, the kinds of artifact that are left out."""
    shutil.copytree(table2_root, root, ignore=shutil.ignore_patterns("results"), dirs_exist_ok=True)
    three = steps(Parameters.check(scale="smoke", experts="3").specs()[0])
    for step in ordered([three.predictions, *three.ensemblers]):
        if step.kind in left_out:
            shutil.rmtree(Store(root).path(step))
    return root


PLAIN_CHECKOUT = """
import sys

class Without:
    absent = ()

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in Without.absent else self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
from repro.cli import main
for absent in (("PIL",), ("sklearn", "threadpoolctl")):
    Without.absent = {for_show} + absent
    print(main({nowhere}), "without", *absent, file=sys.stderr)
Without.absent = {for_show}
from repro.exhibits import exhibit, names
print(*(exhibit(name).name for name in names()))
sys.exit(main({root}))
"""
"""By PYTHONPATH alone, in an environment without some packages."""


def test_without_jupyter_and_other_packages_for_show(table2_root: Path, tmp_path: Path) -> None:
    """Nothing is begun without pillow or K-means; with them all but a base is made, by the loop that trains bases, too.

    Every exhibit is imported, as ``repro run all --direct`` does to put them in reading order.
    """
    nowhere, root = tmp_path / "nowhere", begun(table2_root, tmp_path / "root", "gate", *THREE)
    asked = {name: [*RUN, "-p", "root", str(path)] for name, path in (("nowhere", nowhere), ("root", root))}
    done = subprocess.run(
        [sys.executable, "-c", PLAIN_CHECKOUT.format(for_show=FOR_SHOW, **asked)], cwd=tmp_path, capture_output=True,
        text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pillow, _, refused = done.stderr.partition("1 without sklearn threadpoolctl\n")[0].partition("1 without PIL\n")
    assert pillow.endswith("repro: pillow is missing: pip install pillow\n")
    assert refused.endswith("repro: scikit-learn is missing, whose K-means the gate needs: pip install scikit-learn\n")
    assert not nowhere.exists()
    assert done.stdout.partition("\n")[0].split() == names()
    assert "papermill, nbformat, ipykernel, IPython not installed: running without notebooks" in done.stderr
    assert "pandas is missing, and so are the tables (pip install pandas)" in done.stdout
    assert re.search(r"^3 experts, bagging, top1, seed 0: [\d.]+$", done.stdout, re.MULTILINE)
    assert f"record: {root / 'results' / 'table2_num_experts-modes-smoke.json'}" in done.stdout
    assert recorded(root).numbers_of_experts() == [1, 3]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_paper_s_command_at_smoke_scale_by_the_path_of_a_gpu(
    tmp_path: Path, device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Compiled networks, one pass for all experts, no notebook."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no GPU here")
    before, way = compiling.choice(), {"cpu": "aot_eager", "cuda": "on"}[device]
    try:
        assert main([*RUN, "--direct", "-p", "device", device, "-p", "root", str(tmp_path), "-p", "compile", way]) == 0
    finally:
        compiling.choose(before)
    printed, result = capsys.readouterr().out, recorded(tmp_path)
    assert all(text in printed for text in ("ensembling baseline", "an anecdote", "record: "))
    assert (result.provenance.compile, result.provenance.command) == (way, " ".join(["repro", *RUN]))


def test_a_run_that_has_no_time_left_says_what_remains_and_the_next_goes_on(
    table2_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped among the steps of experts; what stands is found, and the numbers are those of one run."""
    asked = [*RUN, "--direct", "-p", "device", "cpu", "-p", "root", str(begun(table2_root, tmp_path, *THREE))]
    values = {"scale": "smoke", "experts": "1,3", "controls": "none", "root": str(tmp_path)}
    moments = iter([False, False, True])  # before an epoch of the three experts, at its first step, at its second
    monkeypatch.setattr("repro.training.fit.late", lambda seconds=0.0: next(moments, True))
    assert main([*asked, "--minutes", "60"]) == 3
    printed = capsys.readouterr().out
    assert "the time is up (" in printed and "the same command goes on" in printed
    assert "finished  tr10-tr10 on modes, 1 expert, seed 0" in printed
    assert "remains   tr10-tr10 on modes, 3 experts, seed 0: 2 of 9 artifacts are there\n" in printed
    assert {k for k, *_ in numbers(recorded(tmp_path))} == {0, 1}
    monkeypatch.undo()
    assert main(asked) == 0
    assert "remains" not in remaining_of(["table2_num_experts"], values)
    assert numbers(recorded(tmp_path)) == numbers(recorded(table2_root))


def test_what_remains_is_told_of_your_own_images_too(tmp_path: Path, picture_folder: Path) -> None:
    values = {"folder": str(picture_folder), "num_experts": "2", "root": str(tmp_path / "root")}
    report = remaining_of(["own_data"], values)
    assert report.startswith("own_data\nremains   ") and "2 experts, seed 0: 0 of 5 artifacts are there" in report


@pytest.mark.usefixtures("in_process")
def test_a_notebook_stops_in_time_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*RUN, "-p", "root", str(tmp_path), "--minutes", "0"]) == 3
    printed = capsys.readouterr().out
    assert printed.startswith(
        "the time is up (base tr10: not begun)\ntable2_num_experts\nremains   tr10-tr10 on modes, 1 "
    )
    assert not list((tmp_path / "notebooks").glob("*.ipynb")), "neither a finished copy nor a failed one"
