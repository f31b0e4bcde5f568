"""The commands about stores: ``repro status | doctor | pack | unpack``."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from repro.cli.common import add, show
from repro.errors import SpecError


def declare(commands: Any) -> None:
    """Add them to the parser."""
    add(commands, "status", show_status, "repro status")
    add(commands, "doctor", examine, "repro doctor")
    pack = add(commands, "pack", pack_store, "repro pack moved/gpu --what results,outputs --max-mb 16")
    pack.add_argument(
        "out", type=Path, metavar="OUT", help="writes OUT.001, OUT.002 ... and their checksums, OUT.sha256"
    )
    pack.add_argument(
        "--what", default="results,outputs",
        help="results, outputs (predictions, rounded to half precision), weights; or a kind, as base or gate "
        "(default: results,outputs)",
    )  # fmt: skip
    pack.add_argument("--max-mb", type=float, default=64, help="largest size of a file in MB (default 64)")
    unpack = add(commands, "unpack", unpack_store, "repro unpack moved/gpu.sha256")
    unpack.add_argument("files", nargs="+", type=Path, metavar="FILE", help="OUT.sha256; its parts lie beside it")


def show_status(args: argparse.Namespace) -> int:
    """What the store holds, what is half-done, and what failed."""
    from repro.study.contents import Contents

    store = Contents(args.root)
    finished = [
        {
            "kind": about["kind"],
            "hash": about["hash"],
            "label": about["label"],
            "made": about["made"]["when"],
            "seconds": about["made"]["seconds"],
            "MB": round(about["bytes"] / 1e6, 1),
        }
        for about in store.finished()
    ]
    half_done = list(store.half_done())
    show(finished)
    for row in half_done:
        state, why = ("failed", f": {row['failed']}") if row["failed"] else ("half-done", "")
        print(f"{state}: {row['label']} ({row['kind']}/{row['hash']}), {row['epochs_done']} epochs done{why}")
    print(
        f"{store.folder}: {len(finished)} finished, {len(half_done)} half-done, {sum(r['MB'] for r in finished):.0f} MB"
    )
    return 0


def examine(args: argparse.Namespace) -> int:
    """Check the installation and the store; say what to do about each finding."""
    from repro.study import doctor

    findings = list(doctor.findings(args.root))
    wrong = sum(finding.state == "wrong" for finding in findings)
    print(*findings, sep="\n")
    print(f"{wrong} thing{'' if wrong == 1 else 's'} to put right" if wrong else "nothing is wrong")
    return 1 if wrong else 0


def pack_store(args: argparse.Namespace) -> int:
    """Pack results and finished artifacts into files of a given size, to be moved."""
    from repro.study.pack import pack

    if not 0.1 <= args.max_mb < math.inf:
        raise SpecError(f"--max-mb: choose a number of MB from 0.1, such as 64, not {args.max_mb:g}")
    results, artifacts, parts = pack(args.root, args.out, args.what.split(","), round(1e6 * args.max_mb))
    size = sum(part.stat().st_size for part in parts) / 1e6
    print(
        f"{results} results and {artifacts} artifacts in {len(parts)} files, {size:.1f} MB; "
        f"move them together with {args.out}.sha256"
    )
    return 0


def unpack_store(args: argparse.Namespace) -> int:
    """Put packed results and artifacts in their places; overwrites nothing."""
    from repro.study.pack import unpack

    for sentence in unpack(args.files, args.root):
        print(sentence)
    return 0
