"""The commands about stores: ``repro status | doctor | pack | unpack``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from repro.cli.common import add, root_of, show


def declare(commands: Any) -> None:
    """Add them to the parser."""
    add(
        commands, "status", show_status, "what the store holds, what is half-done, and what failed", "repro status",
        json=True,
    )  # fmt: skip
    add(
        commands, "doctor", examine, "check the installation and the store; say what to do about each finding",
        "repro doctor", json=True,
    )  # fmt: skip
    pack = add(
        commands, "pack", pack_store, "pack results and finished artifacts into files of a given size, to be moved",
        "repro pack moved/gpu --what results,outputs --max-mb 16",
    )  # fmt: skip
    pack.add_argument(
        "out", type=Path, metavar="OUT", help="writes OUT.001, OUT.002 ... and their checksums, OUT.sha256"
    )
    pack.add_argument(
        "--what", default="results,outputs",
        help="results, outputs (predictions, rounded to half precision), weights; or a kind, as base or gate "
        "(default: results,outputs)",
    )  # fmt: skip
    pack.add_argument("--max-mb", type=float, default=64, help="largest size of a file in MB (default 64)")
    unpack = add(
        commands, "unpack", unpack_store, "put packed results and artifacts in their places; overwrites nothing",
        "repro unpack moved/gpu.sha256",
    )  # fmt: skip
    unpack.add_argument("files", nargs="+", type=Path, metavar="FILE", help="OUT.sha256; its parts lie beside it")


def show_status(args: argparse.Namespace) -> int:
    """``repro status``."""
    from repro.study.contents import Contents

    store = Contents(root_of(args))
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
    if args.json:
        print(json.dumps({"store": str(store.folder), "finished": finished, "half_done": half_done}, indent=1))
        return 0
    show(args, finished)
    for row in half_done:
        state, why = ("failed", f": {row['failed']}") if row["failed"] else ("half-done", "")
        print(f"{state}: {row['label']} ({row['kind']}/{row['hash']}), {row['epochs_done']} epochs done{why}")
    print(
        f"{store.folder}: {len(finished)} finished, {len(half_done)} half-done, {sum(r['MB'] for r in finished):.0f} MB"
    )
    return 0


def examine(args: argparse.Namespace) -> int:
    """``repro doctor``: status 1 if anything is wrong."""
    from repro.study.doctor import findings

    found = list(findings(root_of(args)))
    if args.json:
        print(json.dumps([finding._asdict() for finding in found], indent=1))
    else:
        for finding in found:
            print(finding)
    wrong = sum(finding.state == "wrong" for finding in found)
    if not args.json:
        print(f"{wrong} thing{'' if wrong == 1 else 's'} to put right" if wrong else "nothing is wrong")
    return 1 if wrong else 0


def pack_store(args: argparse.Namespace) -> int:
    """``repro pack``."""
    from repro.study.pack import pack

    results, artifacts, parts = pack(root_of(args), args.out, args.what.split(","), round(1e6 * args.max_mb))
    size = sum(part.stat().st_size for part in parts) / 1e6
    print(
        f"{results} results and {artifacts} artifacts in {len(parts)} files, {size:.1f} MB; "
        f"move them together with {args.out}.sha256"
    )
    return 0


def unpack_store(args: argparse.Namespace) -> int:
    """``repro unpack``."""
    from repro.study.pack import unpack

    for sentence in unpack(args.files, root_of(args)):
        print(sentence)
    return 0
