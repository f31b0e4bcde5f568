"""The campaigns of benchmarks/, small: kills survived, writers that agree, bad input refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import bad_input
from repro.errors import StoreError
from repro.study.benchmarks import CAMPAIGNS, FOLDER, Campaign, load_campaign

ROOT = Path(__file__).parents[1]


def run(name: str, *options: str, results: Path) -> Campaign:
    """A campaign in a process of its own (it forks, and must not have computed anything before)."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *options, "--record"]
    environment = {**os.environ, "REPRO_RESULTS": str(results), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    path = next((results / "reliability").glob("*.json"))
    campaign = load_campaign(path.stem, results)
    assert campaign is not None
    return campaign


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="both fork")
def test_kills_are_survived_to_the_last_bit_and_writers_make_each_artifact_once_even_if_makers_die(
    tmp_path: Path,
) -> None:
    facts = run("fault_campaign", "--kills", "6", results=tmp_path / "kills").facts
    assert facts["kills"] == facts["survived"] == 6
    assert facts["damaged"] == facts["epochs_repeated"] == 0
    facts = run("concurrent_writers", "--processes", "4", results=tmp_path / "writers").facts
    assert facts["killed"] >= 1
    assert facts["made_twice"] == facts["different"] == facts["failed"] == 0


@pytest.mark.parametrize("kind", bad_input.KINDS)
def test_bad_input_ends_in_a_sentence(kind: str) -> None:
    outcomes = list(bad_input.tried(bad_input.KINDS[kind], 15, seed=1))
    assert [why for state, why in outcomes if state == "crashed"] == []
    assert sum(state == "refused" for state, _ in outcomes) >= 5


def test_a_crash_would_be_seen() -> None:
    def crashing(folder: Path, draw: object) -> bool:
        raise KeyError("x")

    for kind in (crashing, lambda folder, draw: False):  # the other believes what is wrong
        assert [state for state, _ in bad_input.tried(kind, 2, 0)] == ["crashed"] * 2


def test_records_of_campaigns(tmp_path: Path) -> None:
    campaign = Campaign.now("faults", {"kills": 3}, [{"phase": "base", "kills": 3}], 1.0)
    path = campaign.save(tmp_path / FOLDER)
    assert load_campaign("faults", tmp_path) == campaign
    assert load_campaign("writers", tmp_path) is None
    path.write_text("{}")
    with pytest.raises(StoreError, match="is not a recorded campaign"):
        load_campaign("faults", tmp_path)
    with pytest.raises(StoreError, match=f"choose one of {', '.join(CAMPAIGNS)}"):
        load_campaign("fire", tmp_path)
