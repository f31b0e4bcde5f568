"""What the commands share: how they are declared, where they look, how they print rows."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[[argparse.Namespace], int]


def add(
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


def root_of(args: argparse.Namespace) -> Path:
    """The folder that was asked for, or the usual one."""
    from repro.study.places import default_root

    return args.root or default_root()


def show(args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Rows as JSON where that was asked for, else as an aligned table."""
    if args.json:
        print(json.dumps(rows, indent=1))
    elif rows:
        import pandas as pd

        print(pd.DataFrame(rows).to_string(index=False))
