"""Kill a study at random moments, again and again, and compare it with one that was never disturbed.

    uv run python -m benchmarks.fault_campaign --kills 120 --record

In each round a study starts from nothing. For every phase (base, gate, expert, ensembler, predictions,
recording) it is started, and killed with SIGKILL at a moment drawn uniformly from that phase, up to
three times; then it is let through. A kill counts as survived when all the weights, and the numbers
recorded at the end, equal those of the undisturbed study to the last bit, nothing half-written was
ever taken for whole, and no epoch that was on disk was trained again.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks import common
from benchmarks.common import fork, holders, recorded_numbers, weights
from repro.study import results
from repro.study.contents import Contents
from repro.training import fit

PHASES = ("base", "gate", "expert", "ensembler", "predictions", "recording")
RECORDING = 0.01  # seconds that recording takes, about


def watched_study(root: Path) -> None:
    """The study, leaving a mark for every epoch on disk, and one when it begins to record."""
    save_checkpoint, save = fit.save_checkpoint, results.StudyResult.save

    def saving(path: Path, *arguments: object) -> None:
        save_checkpoint(path, *arguments)  # type: ignore[arg-type]
        with open(root / "epochs", "a", encoding="utf-8") as file:
            file.write(f"{path.parent.name}\n")

    def recording(result: results.StudyResult, folder: Path) -> Path:
        (root / "recording").touch()
        return save(result, folder)

    fit.save_checkpoint, results.StudyResult.save = saving, recording  # type: ignore[assignment, method-assign]
    common.smoke_study(root)


def phase_of(pid: int | None, root: Path) -> str:
    """The phase that a study was in when it was killed; ``between`` while it only read."""
    if (root / "recording").exists():
        return "recording"
    return next((kind for kind, holder in holders(root).items() if holder.pid == pid), "between")


def kill_within(root: Path, phase: str, lasts: float, draw: random.Random) -> str | None:
    """Start the study and kill it within a phase; the phase that it was in, None if it got through before."""
    (root / "recording").unlink(missing_ok=True)
    child = fork(lambda: watched_study(root), root / "log")
    stale = {holder.token for holder in holders(root).values()}  # of those killed before
    while child.exitcode is None:
        fresh = {kind for kind, by in holders(root).items() if by.pid == child.pid and by.token not in stale}
        if phase in fresh or (phase == "recording" and (root / "recording").exists()):
            break
        time.sleep(0.001)
    until = time.monotonic() + draw.uniform(0, lasts)
    while child.exitcode is None and time.monotonic() < until:
        time.sleep(0.0005)
    if child.exitcode is None:
        child.kill()
        child.join()
        return phase_of(child.pid, root)
    if child.exitcode:
        raise SystemExit(f"the study failed by itself:\n{(root / 'log').read_text()}")
    return None


def let_through(root: Path) -> None:
    """Run the study to its end."""
    child = fork(lambda: watched_study(root), root / "log")
    child.join()
    if child.exitcode:
        raise SystemExit((root / "log").read_text())


def undisturbed(root: Path) -> dict[str, float]:
    """Run the study once; returns how long each phase takes, in seconds."""
    root.mkdir(parents=True)
    let_through(root)
    lasts: dict[str, float] = {}
    for about in Contents(root).finished():
        lasts[about["kind"]] = max(lasts.get(about["kind"], 0.0), about["made"]["seconds"])
    return {**lasts, "recording": RECORDING}


def campaign(kills: int, seed: int) -> common.FactsAndRows:
    """Run it; see the top of this file."""
    draw = random.Random(seed)
    tried: Counter[str] = Counter()
    survived: Counter[str] = Counter()
    rounds = again = damaged = 0
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder) / "undisturbed"
        lasts = undisturbed(reference)
        expected, numbers = weights(reference), recorded_numbers(reference)
        epochs = Counter((reference / "epochs").read_text().split())
        while sum(tried.values()) < kills:
            rounds += 1
            root = Path(folder) / f"round-{rounds}"
            root.mkdir()
            hits: Counter[str] = Counter()
            whole = True
            for phase in PHASES:
                for _ in range(draw.randint(1, 3)):
                    if sum(tried.values()) + sum(hits.values()) == kills:
                        break
                    hit = kill_within(root, phase, lasts[phase], draw)
                    if hit:
                        hits[hit] += 1
                    torn = [name for name, digest in weights(root).items() if digest != expected[name]]
                    damaged += len(torn)
                    whole &= not torn
            let_through(root)
            trained = Counter((root / "epochs").read_text().split())
            repeated = sum((trained - epochs).values())
            again += repeated
            tried += hits
            if whole and not repeated and weights(root) == expected and recorded_numbers(root) == numbers:
                survived += hits
            print(f"round {rounds}: {sum(survived.values())} of {sum(tried.values())} kills survived", flush=True)
            shutil.rmtree(root)
    rows: list[common.Row] = [
        {"phase": phase, "kills": tried[phase], "survived": survived[phase]} for phase in (*PHASES, "between")
    ]
    facts: dict[str, int | float] = {
        "kills": sum(tried.values()), "survived": sum(survived.values()), "rounds": rounds,
        "artifacts": len(expected), "damaged": damaged, "epochs_repeated": again,
    }  # fmt: skip
    return facts, rows


if __name__ == "__main__":
    common.command(__doc__, "faults", "kills", 120, campaign)
