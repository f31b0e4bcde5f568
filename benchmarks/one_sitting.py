"""One sitting at a machine with a GPU and without a network: train for so many minutes, and bring home what was made.

    python benchmarks/one_sitting.py --minutes 8 --out OUT table2_num_experts -p scale gpu -p dataset cifar100 \
        -p seeds 0,1,2

One process leaves most of a card idle, since its host is busy launching kernels: each seed has a process of its own,
and all share one store. One call with all seeds then finds everything, and writes the record. By --minutes less half
a minute OUT holds, in at most --max-files files: the records, log.txt, sitting.json (how busy the card was, and what
each artifact took, with the history of its training), and packs of predictions (`repro unpack`) if they fit. Needs
nothing but what `repro run --direct` needs; the exit status is its: 3 if the time was up before all was done.
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

PROJECT = Path(__file__).resolve().parents[1]
HOME, PACKING, RECORDING = 30, 20, 40  # seconds: kept free at the end; for packs; for the call that writes the record
QUERY = "--query-gpu=utilization.gpu,memory.used,power.draw"
TOOK = ("kind", "hash", "label", "metrics", "history", "made")  # of an artifact's description


def repro(log: Path, threads: int, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a command of the project; what it says goes to the end of ``log``."""
    path = os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ, "PYTHONPATH": path}
    with log.open("ab") as file:
        return subprocess.Popen([sys.executable, "-m", "repro.cli", *arguments], stdout=file, stderr=file,
                                env=environment)  # fmt: skip


def ended(processes: list[subprocess.Popen[bytes]], until: float) -> list[int]:
    """The exit statuses of processes; those that still run when it is time are killed, which loses no epoch on disk."""
    for process in processes:
        try:
            process.wait(max(until - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
    return [process.wait() for process in processes]


def busy(samples: str) -> dict[str, float]:
    """Means of what nvidia-smi said each second: utilisation in %, memory in MiB, power in W; and how often."""
    lines = [line.split(", ") for line in samples.splitlines()]
    rows = [row for row in lines if len(row) == 3 and all(part.replace(".", "", 1).isdigit() for part in row)]
    names = ("utilisation", "memory", "power")
    means = {name: round(mean(float(row[i]) for row in rows), 1) for i, name in enumerate(names)} if rows else {}
    return {"samples": len(rows), **means}


def main() -> int:
    began = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exhibit")
    parser.add_argument("-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("REPRO_ROOT", PROJECT / "data")))
    parser.add_argument("--max-files", type=int, default=8)
    parser.add_argument("--max-mb", type=float, default=16)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    end, log = began + 60 * asked.minutes - HOME, asked.out / "log.txt"
    last = end - min(PACKING, 0.2 * (end - began))
    first = last - min(RECORDING, 0.3 * (end - began))
    parameters = {"seeds": "0", **dict(asked.parameters), "root": str(asked.root)}
    seeds = parameters["seeds"].split(",")

    def run(seeds: str, until: float, threads: int) -> subprocess.Popen[bytes]:
        listed = [part for pair in {**parameters, "seeds": seeds}.items() for part in ("-p", *pair)]
        left = f"{max(until - time.monotonic(), 1) / 60:.3f}"
        return repro(log, threads, "run", asked.exhibit, "--direct", *listed, "--minutes", left)

    cores = os.cpu_count() or 1
    with tempfile.TemporaryFile("w+") as samples:
        smi = shutil.which("nvidia-smi")
        watch = (
            subprocess.Popen([smi, QUERY, "--format=csv,noheader,nounits", "-l", "1"], stdout=samples) if smi else None
        )
        statuses = ended([run(seed, first, max(cores // len(seeds), 1)) for seed in seeds], first + 5)
        if watch:
            watch.terminate()
            watch.wait()
        samples.seek(0)
        card = busy(samples.read())
    trained = time.monotonic() - began
    status = ended([run(parameters["seeds"], last, cores)], last + 5)[0]

    for path in sorted((asked.root / "results").glob(f"{asked.exhibit}-*.json")):
        shutil.copy(path, asked.out)
    abouts = [json.loads(path.read_text("utf-8")) for path in sorted(asked.root.glob("store/*/*/artifact.json"))
              if "." not in path.parent.name]  # fmt: skip
    sitting = {"exhibit": asked.exhibit, "parameters": dict(asked.parameters), "statuses": [*statuses, status],
               "seconds": {"seeds side by side": round(trained, 1), "in all": round(time.monotonic() - began, 1)},
               "card": card, "artifacts": [{name: about.get(name) for name in TOOK} for about in abouts]}  # fmt: skip
    (asked.out / "sitting.json").write_text(json.dumps(sitting, indent=1), "utf-8")
    for kind in ("base-predictions", "predictions"):
        place = (
            "pack",
            str(asked.out / kind),
            "--root",
            str(asked.root),
            "--what",
            kind,
            "--max-mb",
            str(asked.max_mb),
        )
        done = ended([repro(log, cores, *place)], end)
        if done != [0] or sum(path.is_file() for path in asked.out.iterdir()) > asked.max_files:
            for path in asked.out.glob(f"{kind}.*"):
                path.unlink()
    print(f"{asked.out}: {', '.join(sorted(path.name for path in asked.out.iterdir()))}; status {status}")
    return status


if __name__ == "__main__":
    sys.exit(main())
