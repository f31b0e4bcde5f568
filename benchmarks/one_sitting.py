"""An exhibit in one sitting of minutes, by processes side by side on one card: what was trained, and how busy it was.

    python benchmarks/one_sitting.py --minutes 8 --out OUT table2_num_experts -p scale gpu -p dataset cifar100 \
        -p seeds 0,1,2

One process leaves most of a card idle, we suppose, its host being busy launching kernels: --workers of them share it,
and one store (`-p executor processes:N`); seeds are made in turn, and those that are whole when the time is up are
recorded.
Work is exact multiply-adds of all that stands in the end, two operations each; the peak is the one that NVIDIA prints
for an H100 or H200. By --minutes OUT holds, in at most --max-files files: the records, `log.txt`, `sitting.json` (what
each artifact took, with the history of its training), this record, and packs of --what (`repro unpack`) if they fit.
It needs what `repro run --direct` needs; its exit status is 3 if the time was up before all was done.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean
from typing import Any

from repro.book.plan import FLOPS, PEAK
from repro.exhibits import exhibit
from repro.study.benchmarks import PerformanceRecord
from repro.study.graph import ordered
from repro.study.places import default_root
from repro.study.results import Provenance, Table

PROJECT = Path(__file__).resolve().parents[1]
RECORDING, PACKING = 25, 15  # seconds that are kept free: to stop, measure and write the record; for packs
QUERY = "--query-gpu=utilization.gpu,memory.used,power.draw"
COLUMNS = ["exhibit", "scale", "seeds", "processes", "seconds", "10¹⁵ MACs", "% of peak", "busy, %", "memory, MiB", "W"]
ARTIFACT = "artifact.json"
TOOK = ("kind", "hash", "label", "metrics", "history", "made")  # of an artifact's description


def repro(log: Path, threads: int, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a command of the project; what it says goes to the end of ``log``."""
    path = os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ, "PYTHONPATH": path}
    with log.open("ab") as file:
        return subprocess.Popen([sys.executable, "-m", "repro.cli", *arguments], stdout=file, stderr=file,
                                env=environment)  # fmt: skip


def ended(process: subprocess.Popen[bytes], until: float) -> int:
    """The exit status of a process; one that still runs when it is time is killed, which loses no epoch on disk."""
    try:
        process.wait(max(until - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:
        process.kill()
    return process.wait()


def busy(samples: str) -> dict[str, float]:
    """Means of what nvidia-smi said each second: utilisation in %, memory in MiB, power in W; and how often."""
    lines = [line.split(", ") for line in samples.splitlines()]
    rows = [row for row in lines if len(row) == 3 and all(part.replace(".", "", 1).isdigit() for part in row)]
    names = ("utilisation", "memory", "power")
    means = {name: round(mean(float(row[i]) for row in rows), 1) for i, name in enumerate(names)} if rows else {}
    return {"samples": len(rows), **means}


def recorded(sitting: dict[str, Any], root: Path) -> PerformanceRecord:
    """The sitting as the book shows it: what was trained in which time, and how busy the card was."""
    artifacts, card = sitting["artifacts"], sitting["card"]
    latest = max((about["made"] for about in artifacts), key=lambda made: str(made["when"]))
    claim, _, method = (__doc__ or "").split("\n\n")
    parameters = exhibit(sitting["exhibit"]).parameters(**{**sitting["parameters"], "root": root})
    made = {about["hash"] for about in artifacts}
    steps = ordered(step for goal in parameters.goals() for step in goal.steps)
    work = sum(step.work for step in steps if step.key in made)
    share = 100 * FLOPS * work / sitting["seconds"] / PEAK if card["samples"] else None
    row = [sitting["exhibit"], parameters.scale, ", ".join(map(str, parameters.seeds)), sitting["workers"],
           sitting["seconds"], float(f"{work / 1e15:.4g}"), share and round(share, 1),
           *(card.get(name) for name in ("utilisation", "memory", "power"))]  # fmt: skip
    return PerformanceRecord(
        name=Path(__file__).stem, claim=claim.strip(), method=" ".join(method.split()), quick=not card["samples"],
        goals=[], tables={"One sitting": Table(columns=COLUMNS, rows=[row])},
        provenance=Provenance(**{**latest, "seconds": sitting["seconds"],
                                 "command": parameters.command(sitting["exhibit"])}),
    )  # fmt: skip


def here(root: Path) -> dict[Path, int]:
    """The records and the artifacts of a root, and when each was written."""
    paths = [*root.glob("results/*.json"), *root.glob(f"store/*/*/{ARTIFACT}")]
    return {path: path.stat().st_mtime_ns for path in paths if "." not in path.parent.name}


def parser() -> argparse.ArgumentParser:
    """The parser of this command."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("exhibit")
    arguments.add_argument("-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    arguments.add_argument("--minutes", type=float, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--root", type=Path, default=default_root())
    arguments.add_argument("--workers", type=int, default=6)
    arguments.add_argument("--what", default="base-predictions,predictions")
    arguments.add_argument("--max-files", type=int, default=8)
    arguments.add_argument("--max-mb", type=float, default=16)
    return arguments


def main() -> int:
    began = time.monotonic()
    asked = parser().parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    end, log = began + 60 * asked.minutes, asked.out / "log.txt"
    kinds = [kind for kind in asked.what.split(",") if kind]
    last = end - min(PACKING, 0.1 * (end - began)) * len(kinds)
    parameters = {"executor": f"processes:{asked.workers}", **dict(asked.parameters), "root": str(asked.root)}
    listed = [part for pair in parameters.items() for part in ("-p", *pair)]

    before = here(asked.root)
    cores = os.cpu_count() or 1
    with tempfile.TemporaryFile("w+") as samples:
        smi = shutil.which("nvidia-smi")
        query = [QUERY, "--format=csv,noheader,nounits", "-l", "1"]
        watch = subprocess.Popen([smi, *query], stdout=samples) if smi else None
        left = last - time.monotonic()
        minutes = f"{(left - min(RECORDING, 0.3 * left)) / 60:.3f}"
        command = ["run", asked.exhibit, "--direct", *listed, "--minutes", minutes]
        status = ended(repro(log, max(cores // asked.workers, 1), *command), last)
        if watch:
            watch.terminate()
            watch.wait()
        samples.seek(0)
        card = busy(samples.read())
    trained = time.monotonic() - began

    new = sorted(path for path, written in here(asked.root).items() if before.get(path) != written)
    for path in new:
        if path.name.startswith(f"{asked.exhibit}-"):
            shutil.copy(path, asked.out)
    abouts = [json.loads(path.read_text("utf-8")) for path in new if path.name == ARTIFACT]
    sitting = {"exhibit": asked.exhibit, "parameters": dict(asked.parameters), "workers": asked.workers,
               "status": status, "seconds": round(trained, 1), "card": card,
               "artifacts": [{name: about.get(name) for name in TOOK} for about in abouts]}  # fmt: skip
    (asked.out / "sitting.json").write_text(json.dumps(sitting, indent=1), "utf-8")
    for kind in kinds:
        place = [str(asked.out / kind), "--root", str(asked.root), "--what", kind, "--max-mb", str(asked.max_mb)]
        done = ended(repro(log, cores, "pack", *place), end)
        if done or len(list(asked.out.iterdir())) + bool(abouts) > asked.max_files:
            for path in asked.out.glob(f"{kind}.*"):
                path.unlink()
    if abouts:
        recorded(sitting, asked.root).save(asked.out)
    print(f"{asked.out}: {', '.join(sorted(path.name for path in asked.out.iterdir()))}; status {status}")
    return status


if __name__ == "__main__":
    sys.exit(main())
