"""A sitting of two seeds on a processor: everything comes home, in few files, and in time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.one_sitting import busy
from repro.study.benchmarks import PerformanceRecord
from repro.study.pack import unpack
from repro.study.results import load_results

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "one_sitting.py"
ASKED = ["table2_num_experts", *"-p scale smoke -p experts 2 -p controls none -p device cpu -p seeds 0,1".split()]  # noqa: SIM905


def sit(tmp_path: Path, minutes: float, *more: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    out = tmp_path / f"out-{minutes}"
    options = ["--workers", "2", "--minutes", str(minutes), "--out", str(out), "--root", str(tmp_path / "root"), *more]
    command = [sys.executable, str(SCRIPT), *ASKED, *options]
    return subprocess.run(command, capture_output=True, text=True), out


@pytest.mark.slow
def test_two_seeds_side_by_side_are_trained_recorded_and_packed(tmp_path: Path) -> None:
    done, out = sit(tmp_path, 60)  # as long as it takes
    log = (out / "log.txt").read_text()
    assert done.returncode == 0, done.stderr + log
    assert len(list(out.iterdir())) <= 8
    (record,) = load_results(tmp_path / "root" / "results").values()
    assert record.seeds == [0, 1] and (out / f"{record.name}.json").is_file()
    sitting = json.loads((out / "sitting.json").read_text())
    assert sitting["status"] == 0 and sitting["workers"] == 2 and sitting["seconds"] > 0
    performance = PerformanceRecord.model_validate_json((out / "one_sitting.json").read_text("utf-8"))
    (row,) = performance.tables["One sitting"].rows
    work = dict(zip(performance.tables["One sitting"].columns, row, strict=True))["10¹⁵ MACs"]
    assert performance.quick and isinstance(work, float) and work > 0, "without a card it is no evidence"
    bases = [about for about in sitting["artifacts"] if about["kind"] == "base"]
    assert all(any(seed in about["label"] for about in bases) for seed in ("seed 0", "seed 1"))
    assert all(about["history"] and about["made"]["seconds"] > 0 for about in bases)
    (sentence,) = unpack([out / "predictions.sha256"], tmp_path / "home")
    assert sentence.startswith("predictions.sha256: 0 results and 2 artifacts put in")


@pytest.mark.slow
def test_it_ends_in_time_with_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "root" / "results").mkdir(parents=True)
    (tmp_path / "root" / "results" / "table2_num_experts-modes-quick.json").write_text("of an earlier sitting")
    done, out = sit(tmp_path, 0.2, "--max-files", "2")
    sitting = json.loads((out / "sitting.json").read_text())
    assert done.returncode == sitting["status"] % 256 != 0, "on a busy machine it is killed, which is -9"
    assert sitting["seconds"] < 60 * 0.2
    assert {path.name for path in out.iterdir()} - {"one_sitting.json"} == {"log.txt", "sitting.json"}


def test_how_busy_the_card_was() -> None:
    assert busy("19, 5000, 200.5\n21, 7000, 220.5\n19, 5000, [N/A]\n") == {
        "samples": 2, "utilisation": 20.0, "memory": 6000.0, "power": 210.5,
    }  # fmt: skip
    assert busy("") == {"samples": 0}
