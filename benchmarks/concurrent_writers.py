"""Many processes that want the same study at once: what is made, how often, and what if makers die.

    uv run python -m benchmarks.concurrent_writers --processes 10 --record

All start together on one empty store, undisturbed in the first round. In the second, whoever is making
something is killed at random moments, until two thirds of the processes are gone; the rest must take
over and end with the same weights.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks import common
from repro.study.store import Store


def counted_study(root: Path) -> None:
    """The study, leaving a line for every artifact that it makes itself and finishes."""
    write = Store.write

    def writing(store: Store, step, *arguments):  # type: ignore[no-untyped-def]
        about = write(store, step, *arguments)
        with open(root / "made", "a", encoding="utf-8") as file:
            file.write(f"{step.kind}/{step.key}\n")
        return about

    Store.write = writing  # type: ignore[assignment, method-assign]
    common.smoke_study(root)


def crowd(root: Path, processes: int, kills: int, draw: random.Random) -> tuple[int, int]:
    """Run the study in many processes, killing makers; returns (killed, failed by themselves)."""
    root.mkdir()
    running = [common.fork(lambda: counted_study(root), root / f"log-{n}") for n in range(processes)]
    killed = failed = 0
    due = time.monotonic()
    while running:
        ended = [child for child in running if child.exitcode is not None]
        failed += sum(child.exitcode != 0 for child in ended)
        running = [child for child in running if child not in ended]
        makers = {holder.pid for holder in common.holders(root).values()}
        making = [child for child in running if child.pid in makers]
        if killed < kills and making and time.monotonic() > due:
            running.remove(child := draw.choice(making))
            child.kill()
            child.join()
            killed += 1
            due = time.monotonic() + draw.uniform(0.05, 0.5)
        time.sleep(0.002)
    return killed, failed


def campaign(processes: int, seed: int) -> common.FactsAndRows:
    """Run it; see the top of this file."""
    draw = random.Random(seed)
    rows: list[common.Row] = []
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / "alone"
        crowd(alone, 1, 0, draw)
        expected, numbers = common.weights(alone), common.recorded_numbers(alone)
        for name, kills in (("undisturbed", 0), ("makers killed", 2 * processes // 3)):
            root = Path(folder) / name.replace(" ", "-")
            killed, failed = crowd(root, processes, kills, draw)
            made = Counter((root / "made").read_text().split())
            digests = common.weights(root)
            log = "".join(path.read_text() for path in root.glob("log-*"))
            rows.append(
                {
                    "round": name, "processes": processes, "killed": killed, "failed": failed,
                    "artifacts": len(expected), "made twice": sum(n > 1 for n in made.values()),
                    "not as if alone": sum(digests.get(name) != digest for name, digest in expected.items()),
                    "waits": log.count(": waiting for "), "takeovers": log.count("taking over"),
                    "numbers as if alone": "yes" if common.recorded_numbers(root) == numbers else "no",
                }
            )  # fmt: skip
    of = {"killed": "killed", "failed": "failed", "made_twice": "made twice", "different": "not as if alone"}
    sums = {name: sum(int(row[column]) for row in rows) for name, column in of.items()}
    return {"processes": processes, "artifacts": len(expected), **sums}, rows


if __name__ == "__main__":
    common.command(__doc__, "writers", "processes", 10, campaign)
