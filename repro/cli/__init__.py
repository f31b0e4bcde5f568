"""The command line: ``repro data | cost | run | export | status | doctor | pack | unpack | book``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from repro.cli import stores
from repro.cli.common import Command, add, show
from repro.errors import ReproError, SpecError, StoppedError, TimeIsUpError, in_a_sentence

# What needs torch is imported inside the commands, so that --help is quick.

PACKAGES = {"sklearn": "scikit-learn", "PIL": "pillow"}  # where a module and its package have different names
TIME_IS_UP = 3
WIDEST = 64  # of what `cost` is asked


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status.

    0 done, 1 an error, said in a sentence, 2 usage, 3 the time given by ``--minutes`` was up, 130 stopped.
    """
    args = parser().parse_args(arguments)
    command: Command = args.command
    try:
        with in_a_sentence():
            status = command(args)
            sys.stdout.flush()
            return status
    except BrokenPipeError:  # whoever reads the output has gone, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
        return 0
    except ReproError as error:
        print(f"repro: {error}", file=sys.stderr)
        return 130 if isinstance(error, StoppedError) else 1
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module == "repro":
            raise
        package = PACKAGES.get(module, module)
        print(f"repro: {package} is missing: pip install {package}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(
        prog="repro",
        description="A reproduction study of mixtures of experts for small vision models.",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    data = commands.add_parser("data", help="image sets: what there is, what is here, fetch, check")
    sets = data.add_subparsers(required=True, metavar="COMMAND")
    add(sets, "list", data_list, "repro data list")
    fetch = add(sets, "fetch", data_fetch, "repro data fetch cifar100")
    fetch.add_argument("names", nargs="+", metavar="NAME")
    check = add(sets, "check", data_check, "repro data check cifar100")
    check.add_argument("names", nargs="*", metavar="NAME", help="without any: every set that is here")

    example = "repro cost tr18 tr10 --classes 200 --image-size 64"
    cost = add(commands, "cost", show_cost, example, root=False)
    cost.add_argument("base", help="e.g. tr18")
    cost.add_argument("expert", nargs="?", help="e.g. tr10; without it, the backbone alone")
    cost.add_argument("--experts", type=int, default=20, help="number of experts K (default 20)")
    cost.add_argument("--classes", type=int, default=100, help="number of classes (default 100)")
    cost.add_argument("--image-size", type=int, default=32, help="side of the images in pixels (default 32)")
    cost.add_argument("--width", type=float, default=1.0, help="width multiplier of tr-networks (default 1)")

    example = "repro run table2_num_experts -p scale laptop -p dataset cifar100 -p seeds 0,1,2"
    run = add(commands, "run", run_notebooks, example, root=False)
    run.add_argument("notebooks", nargs="+", metavar="NOTEBOOK", help="a name in notebooks/, a path, or all")
    _add_parameters(run)
    run.add_argument("--output", type=Path, help="folder of the executed copies (default: <root>/notebooks)")
    run.add_argument(
        "--minutes", type=float, help="stop when so many are nearly up, with exit status 3; run again to go on"
    )
    run.add_argument("--direct", action="store_true", help="without notebooks: print the tables (no Jupyter is needed)")

    example = "repro export table2_num_experts -p experts 20 --out my-moe"
    export = add(commands, "export", export_model, example, root=False)
    export.add_argument(
        "notebook", metavar="NOTEBOOK", help="the one that trained it, with parameters that mean one model"
    )
    _add_parameters(export)
    export.add_argument("--out", type=Path, help="the folder (default: <root>/exports/<name>)")
    help = "also as graphs for ONNX Runtime, which on a CPU is faster for few images at a time"
    export.add_argument("--onnx", choices=("float32", "int8"), help=help)

    stores.declare(commands)

    example = "repro book && python -m http.server -d book/_build/html"
    book = add(commands, "book", build_book, example, root=False)
    book.add_argument("--out", type=Path, help="folder of the built book (default: book/_build)")
    return top


def _add_parameters(sub: argparse.ArgumentParser) -> None:
    help = "a parameter, as papermill takes it; may be repeated"
    sub.add_argument(
        "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help=help
    )


def _parameters(args: argparse.Namespace) -> dict[str, str | None]:
    """The parameters of ``-p``; None and null are no value, as for papermill."""
    return {name: None if value in ("None", "null") else value for name, value in args.parameters}


def data_list(args: argparse.Namespace) -> int:
    """List the image sets, and whether they are here."""
    from repro.data.catalogue import DATASETS, status

    rows = [
        {
            "name": name,
            "here": status(name, args.root).state,
            "classes": card.classes,
            "train": card.num_train,
            "test": card.num_test,
            "pixels": card.image_size or "varies",
            "disk": card.disk,
            "source": card.source,
        }
        for name, card in DATASETS.items()
    ]
    show(rows)
    return 0


def data_fetch(args: argparse.Namespace) -> int:
    """Download, verify and lay out image sets."""
    from repro.data.catalogue import fetch

    for name in args.names:
        print(f"{name}: {fetch(name, args.root)} in {args.root}")
    return 0


def data_check(args: argparse.Namespace) -> int:
    """Verify checksums, counts and every image."""
    from repro.data.catalogue import DATASETS, check, status

    names = args.names or [name for name in DATASETS if status(name, args.root).state != "absent"]
    findings = {name: check(name, args.root) for name in names}
    for name, faults in findings.items():
        print(f"{name}: {'; '.join(faults) or 'whole'}")
        if faults and status(name, args.root).state == "absent":
            print(f"{name}: `repro data fetch {name}` fetches it")
    return 1 if any(findings.values()) else 0


def show_cost(args: argparse.Namespace) -> int:
    """Exact multiply-adds and parameters of a base-expert pair (Table 1)."""
    from repro.models.cost import model_cost

    if args.experts < 0 or args.classes < 1 or args.image_size < 1 or not 0 < args.width <= WIDEST:
        raise SpecError(f"cost: classes and pixels are 1 or more, experts 0 or more, the width above 0, up to {WIDEST}")
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
    for name, value in row.items():
        print(f"{name:43}{value:>16,}" if isinstance(value, int) else f"{name:43}{value:>16}")
    return 0


def run_notebooks(args: argparse.Namespace) -> int:
    """Run notebooks; an output is put in place only when its run succeeded."""
    from repro.cli.direct import remaining_of, run
    from repro.progress import time_limit

    parameters = _parameters(args)
    if args.minutes is not None and not args.minutes >= 0:
        raise SpecError(f"--minutes: choose a number from 0, such as 30, not {args.minutes:g}")
    try:
        with time_limit(args.minutes):
            run(args.notebooks, parameters, args.output, args.direct)
    except TimeIsUpError as error:
        left = remaining_of(args.notebooks, parameters)
        print(f"the time is up ({error})\n{left}")
        if left and "remains" not in left:
            print("remains   what follows from these, which is known only now; the same command goes on")
        return TIME_IS_UP
    return 0


def export_model(args: argparse.Namespace) -> int:
    """Write a trained model to a folder that can be used without the study."""
    from repro.exhibits import exhibit
    from repro.report.model_card import export_asked

    parameters = exhibit(args.notebook).parameters.check(**_parameters(args))
    print(f"the model is in {export_asked(args.notebook, parameters, args.out, args.onnx)}")
    return 0


def build_book(args: argparse.Namespace) -> int:
    """Build the book from the recorded results; trains nothing."""
    from repro.book.build import build_book
    from repro.study.places import project_folder

    folder = project_folder()
    if folder is None:
        raise ReproError("there is no book here: run from a checkout of the project")
    print(f"the book is in {build_book(folder, args.out)}")
    return 0
