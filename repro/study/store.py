"""The store: artifacts on disk, each keyed by exactly what it depends on, each whole or absent.

<root>/store/<kind>/<hash>/                an artifact (see artifact.py)
<root>/store/<kind>/<hash>.unfinished/     the checkpoint of one that is being made, and on what; why it failed
<root>/store/<kind>/<hash>.damaged-1/      one that was set aside: its checksum did not hold
<root>/store/<kind>/<hash>.stale-1/        one that was set aside: made from other parents
<root>/store/locks/                        who is making what
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from repro.errors import StoreError, TrainingError
from repro.files import free_name, write_aside, write_text
from repro.progress import say
from repro.study.artifact import Artifact, read_tensors, why_stale, write_artifact
from repro.study.contents import ABOUT, CHECKPOINT, FAILED, Contents, DamagedError, check_tensors, read_about, text
from repro.study.locks import Lock
from repro.study.provenance import code_version, made_here

if TYPE_CHECKING:
    from repro.study.graph import Step

PARENTS = "parents.json"  # of an unfinished one: what it was begun on


class Store(Contents):
    """Artifacts below ``<root>/store``, found, claimed and written."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        code_version()

    def path(self, step: Step) -> Path:
        """The folder of a finished artifact."""
        return self.folder / step.kind / step.key

    def unfinished(self, step: Step) -> Path:
        """The folder of one that is being made."""
        return self.folder / step.kind / f"{step.key}.unfinished"

    def checkpoint(self, step: Step) -> Path:
        """The file in which its training keeps its state."""
        return self.unfinished(step) / CHECKPOINT

    def lock(self, step: Step) -> Lock:
        """The lock that its maker holds."""
        return Lock(self.folder / "locks" / f"{step.kind}-{step.key}", step.label)

    def has(self, step: Step) -> bool:
        """Whether the artifact is there, finished."""
        return (self.path(step) / ABOUT).exists()

    def load(self, step: Step) -> Artifact:
        """Read a finished artifact; :class:`StoreError` names the folder if it cannot be read or is not whole."""
        try:
            about = read_about(self.path(step))
            tensors = read_tensors(self.path(step), about)
        except (DamagedError, OSError) as error:
            raise StoreError(
                f"the {step.label} in {self.path(step)} cannot be read ({error}); run again to make it anew"
            ) from error
        return Artifact(tensors, about["metrics"], about["history"])

    def find(
        self, step: Step, parents: Mapping[str, str], tensors: bool = True
    ) -> tuple[dict[str, Any] | None, tuple[str, str] | None]:
        """The description of an artifact that can be used; else, if something is there, its state and what is wrong.

        ``parents`` are the artifacts that it would be made from now: ``kind/key`` -> checksum. Without ``tensors``
        their file is not read: a damaged one is not seen.
        """
        if not self.path(step).exists():
            return None, None
        try:
            about = read_about(self.path(step))
            if tensors:
                check_tensors(self.path(step), about)
        except DamagedError as error:
            return None, ("damaged", str(error))
        except OSError as error:  # a disk or a network that does not answer says nothing of the artifact
            raise StoreError(f"the {step.label} in {self.path(step)} cannot be read: {error}; try again") from error
        if why := why_stale(about, parents):
            return None, ("stale", why)
        return about, None

    @contextmanager
    def claim(self, steps: Sequence[Step], parents: Callable[[Step], Mapping[str, str]]) -> Iterator[list[Step]]:
        """Those of several artifacts that are this process's to make, until the block ends: absent, and not in work.

        Where others are making all of them it waits for the first. What is damaged or stale is set aside, never
        deleted; so is the checkpoint of a training that was begun on other parents.
        """
        with ExitStack() as held:
            mine = [step for step in steps if held.enter_context(self.lock(step).held(wait=False))]
            if not mine:
                first = steps[0]
                waited_for = self.lock(first).held(lambda: self.find(first, parents(first))[0] is not None)
                mine = [first] if held.enter_context(waited_for) else []
            missing = []
            for step in mine:
                about, why = self.find(step, parents(step))
                if about is None:
                    if why:
                        self._set_aside(step, *why)
                    self._begin(step, parents(step))
                    missing.append(step)
            yield missing

    def write(
        self, step: Step, artifact: Artifact, parents: Mapping[str, str], device: torch.device, seconds: float
    ) -> dict[str, Any]:
        """Put an artifact that was claimed in its place; returns its description.

        ``parents`` are what it was made from, ``kind/key`` -> checksum; ``seconds`` how long that took on ``device``,
        of a training at least the sum of its epochs.

        Raises:
            TrainingError: If a tensor holds numbers that are not finite.
            StoreError: If it cannot be written.
        """
        for name, tensor in artifact.tensors.items():
            if not bool(tensor.isfinite().all()):
                raise TrainingError(f"{step.label}: {name} holds numbers that are not finite; lower the learning rate")
        made = made_here(device, max(seconds, sum(entry[2] for entry in artifact.history)))  # before a stop as well
        try:
            with write_aside(self.path(step)) as aside:
                aside.mkdir()
                write_artifact(aside, step, artifact, made, parents)
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"the {step.label} cannot be written to {self.folder} ({error}); "
                "free some space or choose another root; what was trained so far is kept"
            ) from error
        shutil.rmtree(self.unfinished(step), ignore_errors=True)
        return read_about(self.path(step))

    def fail(self, step: Step, why: TrainingError, device: torch.device) -> None:
        """Leave in the unfinished folder why a training went wrong."""
        write_text(self.unfinished(step) / FAILED, json.dumps({"why": str(why), **made_here(device, 0)}, indent=1))

    def _set_aside(self, step: Step, state: str, why: str) -> None:
        aside = free_name(self.path(step), state)
        self.path(step).rename(aside)
        say(f"{step.label} is {state}: {why}; set aside as {step.kind}/{aside.name}, and made again")

    def _begin(self, step: Step, parents: Mapping[str, str]) -> None:
        """Make the folder of an artifact that is not there yet.

        A checkpoint that was begun on other parents than these is set aside: it would go on to a mixture of both.
        """
        for left in self.path(step).parent.glob(f".{step.key}.*"):  # of a maker that died while it wrote
            shutil.rmtree(left, ignore_errors=True)
        unfinished = self.unfinished(step)
        unfinished.mkdir(parents=True, exist_ok=True)
        (unfinished / FAILED).unlink(missing_ok=True)
        begun = json.loads(text(unfinished / PARENTS) or "{}")
        begun.pop("images", None)  # what an older store held them against, too
        if self.checkpoint(step).exists() and begun != dict(parents):
            self.checkpoint(step).replace(unfinished / f"stale-{CHECKPOINT}")
            say(f"{step.label}: what it was begun on is not the same any more; it begins again")
        write_text(unfinished / PARENTS, json.dumps(dict(parents)))
        write_text(unfinished / "label.txt", step.label)
