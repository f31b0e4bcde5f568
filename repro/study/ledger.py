"""What a study used: how much of it was found in the store, how much was made, and how long that took."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from repro.progress import say
from repro.study.artifact import Artifact
from repro.study.spec import Key


class Ledger:
    """Every artifact of a study, once, as found or made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[str, bool] = {}
        self._untold: list[Key] = []
        self._elsewhere: set[str] = set()
        self.seconds = 0.0  # spent on everything that was used, now or earlier

    def made_elsewhere(self, hashes: Iterable[str]) -> None:
        """These were made by workers for this study: it will find them in the store, and yet they are new."""
        self._elsewhere.update(hashes)

    def enter(self, key: Key, artifact: Artifact, found: bool) -> bool:
        """Note an artifact; whether it is news (not noted before, nor reported by a worker)."""
        if key.hash in self._found:
            return False
        self._found[key.hash] = found and key.hash not in self._elsewhere
        self._untold.append(key)
        self.seconds += artifact.made["seconds"]
        return key.hash not in self._elsewhere

    def made(self) -> list[str]:
        """The hashes of what was made."""
        return [hash for hash, found in self._found.items() if not found]

    def tell(self) -> None:
        """Say in one line what was found and what was made since it was last said."""
        parts = []
        for found, verb in ((True, "found in the store"), (False, "made")):
            keys = [key for key in self._untold if self._found[key.hash] == found]
            if keys:
                parts.append(f"{verb}: {'; '.join(_grouped(keys))}")
        if parts:
            say(" · ".join(parts))
        self._untold = []

    def summary(self) -> str:
        """One sentence: how much was found in the store and how much was made."""
        found = sum(self._found.values())
        made = len(self._found) - found
        if made == 0:
            return f"all {found} artifacts were found in the store ({self._folder}); nothing was trained"
        return f"{made} artifacts were made and {found} found in the store ({self._folder})"


def _grouped(keys: list[Key]) -> list[str]:
    """``base tr10 on modes, seed 0``, ``3 experts`` ...: a line for twenty experts names no twenty."""
    kinds: dict[str, list[Key]] = {}
    for key in keys:
        kinds.setdefault(key.kind, []).append(key)
    return [same[0].label if len(same) == 1 else f"{len(same)} {kind}s" for kind, same in kinds.items()]
