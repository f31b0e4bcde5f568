"""What the campaigns share: a small study, children that can be killed, and the comparison of stores."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path

import torch

from repro.data.archives import checksum
from repro.exhibits.table2_num_experts import Parameters, run
from repro.study.artifact import Artifact, read_tensors
from repro.study.benchmarks import FOLDER, Campaign
from repro.study.contents import HASH, DamagedError, read_about
from repro.study.graph import Step
from repro.study.locks import Holder, read_holder
from repro.study.places import results_folder
from repro.study.provenance import code_version
from repro.study.results import load_results
from repro.study.store import Store

Row = dict[str, str | int | float]
FactsAndRows = tuple[dict[str, int | float], list[Row]]
"""Of a campaign: its figures by name, and the rows of its table."""


def smoke_study(root: Path) -> None:
    """Table 2 at smoke scale, recorded: every kind of artifact, and the record."""
    torch.set_num_threads(1)
    run(Parameters.check(scale="smoke", experts="1,3", root=root, device="cpu", executor="serial"))


def fork(work: Callable[[], object], log: Path) -> ForkProcess:
    """Start ``work`` in a child of its own; what it says goes to the end of ``log``.

    The child has everything imported already, so that a campaign of a hundred kills takes minutes. This
    process must not have computed anything with torch before: threads do not survive a fork.
    """

    def logged() -> None:
        handle = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        work()

    child = get_context("fork").Process(target=logged)
    child.start()
    return child


def holders(root: Path) -> dict[str, Holder]:
    """Who is making what: kind -> holder of a lock."""
    locks = (root / "store" / "locks").glob("*.*")
    return {path.name.rpartition("-")[0]: holder for path in locks if (holder := read_holder(path))}


def weights(root: Path) -> dict[str, str]:
    """sha256 of the weights of every finished artifact, by kind and hash; ``damaged`` for one that is not whole."""
    checksums = {}
    for folder in sorted(p for p in (root / "store").glob("*/*") if HASH.fullmatch(p.name)):
        name = f"{folder.parent.name}/{folder.name}"
        try:
            read_tensors(folder, read_about(folder))
            checksums[name] = checksum(folder / "weights.safetensors", "sha256")
        except DamagedError:
            checksums[name] = "damaged"
    return checksums


def put(store: Store, step: Step, artifact: Artifact) -> None:
    """Put an artifact that nobody trained in a store."""
    with store.claim([step], lambda step: {}):
        store.write(step, artifact, {}, torch.device("cpu"), 0.0)


def recorded_numbers(root: Path) -> str:
    """The measurements that the study recorded, as text; empty if it recorded nothing."""
    results = load_results(root / "results") if (root / "results").is_dir() else {}
    return "".join(str([m.model_dump() for m in result.measurements]) for result in results.values())


def command(doc: str | None, name: str, amount: str, default: int, run: Callable[[int, int], FactsAndRows]) -> None:
    """A campaign as a command: ``run`` is handed how much and the seed; its figures are printed, and kept if asked."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(f"--{amount}", dest="amount", type=int, default=default)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", action="store_true", help="write the figures to results/reliability, for the book")
    asked, began = parser.parse_args(), time.monotonic()
    code_version()  # of the code that runs, whatever comes to stand in the checkout meanwhile
    facts, rows = run(asked.amount, asked.seed)
    options = f"--{amount} {asked.amount} --seed {asked.seed}"
    campaign = Campaign.now(name, facts, rows, time.monotonic() - began, options)
    for row in (*campaign.rows, Row(campaign.facts)):
        print("  ".join(f"{key} {value}" for key, value in row.items()))
    if asked.record:
        print(campaign.save(results_folder() / FOLDER))
