"""The command line: ``repro data | cost | run | export | status | doctor | book``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from repro.errors import ReproError

# What needs torch is imported inside the commands, so that --help is quick.

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 (an error, said in a sentence), 2 (usage), 130 (stopped)."""
    args = parser().parse_args(arguments)
    try:
        command: Command = args.command
        return command(args)
    except ReproError as error:
        print(f"repro: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("repro: stopped; the same command goes on from the last finished epoch", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(
        prog="repro",
        description="A reproduction study of single-gated mixtures of experts (Royer et al., BMVC 2022).",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    data = commands.add_parser("data", help="image sets: what there is, what is here, fetch, check")
    sets = data.add_subparsers(required=True, metavar="COMMAND")
    _add(sets, "list", data_list, "list the image sets, and whether they are here", "repro data list --json", json=True)
    fetch = _add(sets, "fetch", data_fetch, "download, verify and lay out image sets", "repro data fetch cifar100")
    fetch.add_argument("names", nargs="+", metavar="NAME")
    check = _add(
        sets, "check", data_check, "verify checksums, counts and every image", "repro data check cifar100", json=True
    )
    check.add_argument("names", nargs="*", metavar="NAME", help="without any: every set that is here")

    cost = _add(
        commands, "cost", show_cost, "exact multiply-adds and parameters of a base-expert pair (Table 1)",
        "repro cost tr18 tr10 --classes 200 --image-size 64", json=True, root=False,
    )  # fmt: skip
    cost.add_argument("base", help="e.g. tr18")
    cost.add_argument("expert", nargs="?", help="e.g. tr10; without it, the backbone alone")
    cost.add_argument("--experts", type=int, default=20, help="number of experts K (default 20)")
    cost.add_argument("--classes", type=int, default=100, help="number of classes (default 100)")
    cost.add_argument("--image-size", type=int, default=32, help="side of the images in pixels (default 32)")
    cost.add_argument("--width", type=float, default=1.0, help="width multiplier of tr-networks (default 1)")

    run = _add(
        commands, "run", run_notebooks, "run notebooks; an output is put in place only when its run succeeded",
        "repro run table2_num_experts -p scale laptop -p dataset cifar100 -p seeds 0,1,2", root=False,
    )  # fmt: skip
    run.add_argument("notebooks", nargs="+", metavar="NOTEBOOK", help="a name in notebooks/, a path, or all")
    _takes_parameters(run)
    run.add_argument("--output", type=Path, help="folder of the executed copies (default: <root>/notebooks)")

    export = _add(
        commands, "export", export_model, "write a trained model to a folder that can be used without the study",
        "repro export table2_num_experts -p experts 20 --out my-moe", root=False,
    )  # fmt: skip
    export.add_argument(
        "notebook", metavar="NOTEBOOK", help="the one that trained it, with parameters that mean one model"
    )
    _takes_parameters(export)
    export.add_argument("--out", type=Path, help="the folder (default: <root>/exports/<name>)")

    _add(
        commands, "status", show_status, "what the store holds, what is half-done, and what failed", "repro status",
        json=True,
    )  # fmt: skip
    _add(
        commands, "doctor", examine, "check the installation and the store; say what to do about each finding",
        "repro doctor", json=True,
    )  # fmt: skip

    book = _add(
        commands, "book", build_book, "build the book from the recorded results; trains nothing",
        "repro book && python -m http.server -d book/_build/html", root=False,
    )  # fmt: skip
    book.add_argument("--out", type=Path, help="folder of the built book (default: book/_build)")
    book.add_argument("--lenient", action="store_true", help="go on over warnings")
    return top


def _add(
    commands: Any, name: str, command: Command, help: str, example: str, json: bool = False, root: bool = True
) -> argparse.ArgumentParser:
    """A sub-command with an example in its --help and the options that many share."""
    sub: argparse.ArgumentParser = commands.add_parser(
        name, help=help, description=help[0].upper() + help[1:] + ".", epilog=f"Example: {example}"
    )
    sub.set_defaults(command=command)
    if root:
        sub.add_argument("--root", type=Path, help="folder of image sets, store and results (default: data/)")
    if json:
        sub.add_argument("--json", action="store_true", help="print JSON")
    return sub


def _takes_parameters(sub: argparse.ArgumentParser) -> None:
    help = "a parameter, as papermill takes it; may be repeated"
    sub.add_argument(
        "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help=help
    )


def _root(args: argparse.Namespace) -> Path:
    from repro.study.parameters import default_root

    return args.root or default_root()


def _show(args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Rows as JSON where that was asked for, else as an aligned table."""
    if args.json:
        print(json.dumps(rows, indent=1))
    elif rows:
        import pandas as pd

        print(pd.DataFrame(rows).to_string(index=False))


def data_list(args: argparse.Namespace) -> int:
    """``repro data list``."""
    from repro.data.catalogue import DATASETS, status

    _show(
        args,
        [
            {
                "name": name,
                "here": status(name, _root(args)).state,
                "classes": card.classes,
                "train": card.num_train,
                "test": card.num_test,
                "pixels": card.image_size or "varies",
                "disk": card.disk,
                "source": card.source,
            }
            for name, card in DATASETS.items()
        ],
    )
    return 0


def data_fetch(args: argparse.Namespace) -> int:
    """``repro data fetch``."""
    from repro.data.catalogue import fetch

    for name in args.names:
        fetch(name, _root(args))
        print(f"{name}: ready in {_root(args)}")
    return 0


def data_check(args: argparse.Namespace) -> int:
    """``repro data check``: status 1 if anything is wrong."""
    from repro.data.catalogue import DATASETS, check, status

    names = args.names or [name for name in DATASETS if status(name, _root(args)).state != "absent"]
    findings: Mapping[str, Sequence[str]] = {name: check(name, _root(args)) for name in names}
    if args.json:
        print(json.dumps(findings, indent=1))
    else:
        for name, found in findings.items():
            print(f"{name}: {'; '.join(found) or 'whole'}")
            if found and status(name, _root(args)).state == "absent":
                print(f"{name}: `{status(name, _root(args)).command}` fetches it")
    return 1 if any(findings.values()) else 0


def show_cost(args: argparse.Namespace) -> int:
    """``repro cost``."""
    from repro.models.cost import model_cost

    cost = model_cost(args.base, args.expert, args.classes, args.image_size, args.experts, args.width)
    row = {
        "model": "-".join(filter(None, [args.base, args.expert])),
        "experts": cost.num_experts,
        "MACs": cost.macs,
        "base MACs": cost.base_macs,
        "expert MACs": cost.expert_macs,
        "gate MACs": cost.gate_macs,
        "parameters, inference": cost.params_inference,
        "parameters, inference, by the paper's rule": cost.params_inference_paper,
        "parameters, trained": cost.params_trainable,
    }
    if args.json:
        print(json.dumps(row, indent=1))
    else:
        for name, value in row.items():
            print(f"{name:43}{value:>16,}" if isinstance(value, int) else f"{name:43}{value:>16}")
    return 0


def run_notebooks(args: argparse.Namespace) -> int:
    """``repro run``."""
    from repro.report.run import run_notebooks

    run_notebooks(args.notebooks, dict(args.parameters), args.output)
    return 0


def export_model(args: argparse.Namespace) -> int:
    """``repro export``."""
    from repro.report.export import export_asked

    print(f"the model is in {export_asked(args.notebook, dict(args.parameters), args.out)}")
    return 0


def show_status(args: argparse.Namespace) -> int:
    """``repro status``."""
    from repro.study.store import Store

    store = Store(_root(args))
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
    _show(args, finished)
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

    found = list(findings(_root(args)))
    if args.json:
        print(json.dumps([finding._asdict() for finding in found], indent=1))
    else:
        for finding in found:
            print(finding)
    wrong = sum(finding.state == "wrong" for finding in found)
    if not args.json:
        print(f"{wrong} thing{'' if wrong == 1 else 's'} to put right" if wrong else "nothing is wrong")
    return 1 if wrong else 0


def build_book(args: argparse.Namespace) -> int:
    """``repro book``."""
    from repro.report.book import build_book
    from repro.study.parameters import project_folder

    folder = project_folder()
    if folder is None:
        raise ReproError("there is no book here: run from a checkout of the project")
    print(f"the book is in {build_book(folder, args.out, strict=not args.lenient)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
