"""The command line: help, output, exit status."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from repro.cli import main, parser
from repro.errors import TimeIsUpError

COMMANDS = ["data list", "data fetch", "data check", "cost", "run", "export", "book"]
COMMANDS += ["status", "doctor", "pack", "unpack"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        parser().parse_args([*command.split(), "--help"])
    assert f"Example: repro {command.split()[0]}" in capsys.readouterr().out


def test_cost_as_json_and_errors_are_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "tr18", "tr10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["MACs"] == 672_970_752
    assert main(["cost", "tr9"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("repro: unknown backbone 'tr9'; choose one of tr10") and error.count("\n") == 1
    assert main(["run", "table9"]) == 1
    assert "there is no notebook 'table9' (there are: " in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):  # usage
        main(["run"])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("cost tr18 tr10 --experts -1", "--experts: choose a whole number of at least 0, not -1"),
        ("cost tr18 --classes 0", "--classes: choose a whole number of at least 1, not 0"),
        ("cost tr18 --classes -5", "--classes: choose a whole number of at least 1, not -5"),
        ("cost tr18 --image-size 0", "--image-size: choose a whole number of at least 1, not 0"),
        ("cost tr18 --width nan", "--width: choose a number above 0, such as 0.25, not nan"),
        ("cost tr18 --width inf", "--width: choose a number above 0, such as 0.25, not inf"),
        ("cost densenet121 --image-size 16", "densenet121 cannot take images of 16 pixels"),
        ("pack moved --max-mb nan", "--max-mb: choose a number of MB, such as 64, not nan"),
        ("pack moved --max-mb inf", "--max-mb: choose a number of MB, such as 64, not inf"),
        ("pack .", ". is a folder; choose a name for the pack, such as moved"),
        ("pack ..", ".. is a folder; choose a name for the pack, such as ../moved"),
    ],
)
def test_wrong_values_are_one_sentence(wrong: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(wrong.split()) == 1
    assert capsys.readouterr() == ("", f"repro: {sentence}\n")


def test_status_of_an_empty_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--root", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["finished"], told["half_done"]) == ([], [])


def test_data_list_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list", "--root", str(tmp_path), "--json"]) == 0
    here = {row["name"]: row["here"] for row in json.loads(capsys.readouterr().out)}
    assert here["modes"] == "present" and here["cifar100"] == "absent"
    assert main(["data", "check", "cifar100", "--root", str(tmp_path)]) == 1
    assert "repro data fetch cifar100" in capsys.readouterr().out


def test_the_doctor_says_what_to_do_and_status_1_when_something_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "store" / "base" / ("0" * 16)
    damaged.mkdir(parents=True)
    assert main(["doctor", "--root", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert f"WRONG base/{'0' * 16}: damaged: artifact.json is missing -> nothing: the next run" in told
    assert main(["doctor", "--root", str(tmp_path), "--json"]) == 1
    assert {"about", "state", "found", "do"} == set(json.loads(capsys.readouterr().out)[0])


def test_a_parameter_may_have_no_value_as_for_papermill(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("repro.cli.direct.run", lambda names, parameters, *more: asked.append(parameters))
    assert main(["run", "own_data", "-p", "epochs", "None", "-p", "width", "null", "-p", "folder", "a"]) == 0
    assert asked == [{"epochs": None, "width": None, "folder": "a"}]


def test_what_a_terminal_has_no_letters_for_is_printed_in_others(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr("repro.models.cost.ModelCost.macs", "1 ± 2")
    assert main(["cost", "tr18"]) == 0
    terminal.flush()
    assert b" 1 \\xb1 2\n" in terminal.buffer.getvalue()


def test_a_reader_that_has_gone_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "repro.cli", "status", "--root", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout and running.stderr
        running.stdout.close()
        assert (running.stderr.read(), running.wait()) == (b"", 0)


def test_a_stop_is_status_130_and_a_file_that_cannot_be_written_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr("repro.cli.direct.run", fail)
    error: BaseException = KeyboardInterrupt()
    assert main(["run", "own_data"]) == 130
    assert capsys.readouterr().err == "repro: stopped; the same command goes on from the last epoch that was kept\n"
    error = PermissionError(13, "Permission denied", "/a/b")
    assert main(["run", "own_data"]) == 1
    assert capsys.readouterr().err.startswith("repro: cannot read or write /a/b: Permission denied; put that right, or")


def test_what_a_late_run_has_not_come_to_know_remains_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that is known is finished, and the time was up all the same."""

    def late(*_: object) -> None:
        raise TimeIsUpError("control tr10: not begun")

    monkeypatch.setattr("repro.cli.direct.run", late)
    monkeypatch.setattr("repro.cli.direct.remaining_of", lambda *_: "three_families\nfinished  DeepMoE")
    assert main(["run", "three_families", "--minutes", "1"]) == 3
    assert capsys.readouterr().out.splitlines()[-1].startswith("remains   what follows from these")
