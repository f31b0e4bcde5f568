"""What the commands share: how they are declared, and how they print rows."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from repro.study.places import default_root

Command = Callable[[argparse.Namespace], int]


def add(commands: Any, name: str, command: Command, example: str, root: bool = True) -> argparse.ArgumentParser:
    """A sub-command that does what its function's docstring says, with an example, and options that many share."""
    help = (command.__doc__ or "").rstrip(".")
    sub: argparse.ArgumentParser = commands.add_parser(
        name, help=help[0].lower() + help[1:], description=f"{help}.", epilog=f"Example: {example}"
    )
    sub.set_defaults(command=command)
    if root:
        about = "folder of image sets, store and results (default: data/)"
        sub.add_argument("--root", type=Path, default=default_root(), help=about)
    return sub


def show(rows: list[dict[str, Any]]) -> None:
    """Print rows as an aligned table."""
    if rows:
        import pandas as pd

        print(pd.DataFrame(rows).to_string(index=False))
