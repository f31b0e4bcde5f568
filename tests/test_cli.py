"""The command line: help, output, exit status."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from repro.cli import main, parser
from repro.errors import TimeIsUpError

COMMANDS = ["data list", "data fetch", "data check", "cost", "run", "export", "book", "status", "doctor", "pack"]


@pytest.mark.parametrize("command", [*COMMANDS, "unpack"])
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parser().parse_args([*command.split(), "--help"])
    assert f"Example: repro {command.split()[0]}" in capsys.readouterr().out


def test_cost_and_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "tr18", "tr10"]) == 0
    assert re.search(r"^MACs +672,970,752$", capsys.readouterr().out, re.MULTILINE)
    with pytest.raises(SystemExit, match="2"):
        main(["run"])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("cost tr9", "unknown backbone 'tr9'; choose one of tr10"),
        ("run table9", "there is no notebook 'table9' (there are: "),
        ("cost tr18 tr10 --experts -1", "cost: classes and pixels are 1 or more, experts 0 or more"),
        ("cost tr18 --width nan", "cost: classes and pixels are 1 or more, experts 0 or more, the width above 0"),
        ("cost densenet121 --image-size 16", "densenet121 cannot take images of 16 pixels"),
        ("run table2_num_experts --minutes nan", "--minutes: choose a number from 0, such as 30, not nan"),
        ("pack moved --max-mb inf", "--max-mb: choose a number of MB from 0.1, such as 64, not inf"),
        ("pack moved --max-mb 0", "--max-mb: choose a number of MB from 0.1, such as 64, not 0"),
    ],
)
def test_wrong_values_are_one_sentence(wrong: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(wrong.split()) == 1
    out, error = capsys.readouterr()
    assert out == "" and error.startswith(f"repro: {sentence}") and error.count("\n") == 1


def test_status_of_an_empty_store_and_sets_of_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'store'}: 0 finished, 0 half-done, 0 MB\n"
    assert main(["data", "list", "--root", str(tmp_path)]) == 0
    here = dict(line.split()[:2] for line in capsys.readouterr().out.splitlines())
    assert here["modes"] == "present" and here["cifar100"] == "absent"
    assert main(["data", "check", "cifar100", "--root", str(tmp_path)]) == 1
    assert "repro data fetch cifar100" in capsys.readouterr().out


def test_the_doctor_says_what_to_do_and_status_1_when_something_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "store" / "base" / ("0" * 16)
    damaged.mkdir(parents=True)
    assert main(["doctor", "--root", str(tmp_path)]) == 1
    wrong = f"WRONG base/{'0' * 16}: damaged: artifact.json is missing -> nothing: the next run"
    assert wrong in capsys.readouterr().out


def test_a_parameter_may_have_no_value_as_for_papermill(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("repro.cli.direct.run", lambda names, parameters, *more: asked.append(parameters))
    assert main(["run", "own_data", "-p", "epochs", "None", "-p", "width", "null", "-p", "folder", "a"]) == 0
    assert asked == [{"epochs": None, "width": None, "folder": "a"}]


def test_a_reader_that_has_gone_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "repro.cli", "status", "--root", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout and running.stderr
        running.stdout.close()
        assert (running.stderr.read(), running.wait()) == (b"", 0)


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (KeyboardInterrupt(), 130, "stopped; the same command goes on from the last epoch that was kept\n"),
        (PermissionError(13, "Permission denied", "/a/b"), 1, "cannot read or write /a/b: Permission denied; put that"),
        # all that is known is finished, and the time was up all the same: what it has not come to know remains
        (TimeIsUpError("control tr10: not begun"), 3, ""),
    ],
)
def test_a_run_that_fails_has_a_status_and_a_sentence(
    error: BaseException, status: int, sentence: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def fail(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr("repro.cli.direct.run", fail)
    monkeypatch.setattr("repro.cli.direct.remaining_of", lambda *_: "three_families\nfinished  DeepMoE")
    assert main(["run", "three_families", "--minutes", "1"]) == status
    out, err = capsys.readouterr()
    assert err.startswith(f"repro: {sentence}") if sentence else "remains   what follows from these" in out


SLOW = ("torchvision", "sklearn", "torch._dynamo", "sympy", "papermill", "seaborn")
CODE = f"""
import sys
from contextlib import suppress
from repro.cli import main
with suppress(SystemExit):
    main(["--help"])
assert main(["status", "--root", sys.argv[1]]) == 0
assert "torch" not in sys.modules
import repro.report.plots, repro.report.chapter, repro.study.parameters, repro.families.single_gate.study
assert not [name for name in {SLOW!r} if name in sys.modules]
"""


def test_a_command_that_only_tells_does_without_torch_and_a_notebook_without_what_only_training_needs(
    tmp_path: Path,
) -> None:
    """A second run is mostly imports."""
    done = subprocess.run([sys.executable, "-c", CODE, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0 and "usage: repro" in done.stdout, done.stderr
