"""Every benchmark runs in its form of a few seconds and leaves a record that the book reads. Nothing is timed here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from repro.book import performance
from repro.study.benchmarks import BENCHMARKS, CAMPAIGNS, PerformanceRecord, load_performance

FOLDER = Path(__file__).parents[2] / "benchmarks"


def test_every_benchmark_and_campaign_is_known() -> None:
    helpers = {"timing", "plain", "common"}
    campaigns = {command.partition("benchmarks.")[2].split()[0] for command in CAMPAIGNS.values()}
    assert {path.stem for path in FOLDER.glob("*.py")} - helpers == {*BENCHMARKS, *campaigns}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BENCHMARKS if name != "one_sitting"])  # it has a test of its own
def test_it_runs_and_leaves_a_record(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--quick", "--out", str(tmp_path), "--root", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    record = PerformanceRecord.model_validate_json((tmp_path / f"{name}.json").read_text(encoding="utf-8"))
    assert record.quick and record.goals and record.claim and record.method
    assert all(len(row) == len(table.columns) for table in record.tables.values() for row in table.rows)
    assert load_performance(tmp_path, name) is None, "a quick run is no evidence"
    # The figures and tables of the chapter find the columns that they need.
    performance.figures({name: record})
    assert all(performance.table_html(title, table) for title, table in record.tables.items())
    assert "bound" in performance.goals_html(record)
