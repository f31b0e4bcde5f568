"""Parameters of the notebooks: what papermill and the command line hand over, checked before any work."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from shlex import quote
from typing import Any, Self

from pydantic import Field, ValidationInfo, field_validator

from repro.errors import Frozen, in_a_sentence, validated
from repro.study.executors import parse
from repro.study.graph import Goal
from repro.study.lists import Numbers
from repro.study.places import default_root
from repro.training import compiling

SCALES = ("smoke", "quick", "laptop", "gpu", "paper")
DEMONSTRATIONS = SCALES[:2]
"""On the embedded set, in minutes: no evidence, so that not every control is trained unless it is asked for."""


class Parameters(Frozen):
    """What every notebook may be asked for."""

    scale: str = Field("quick", description=f"one of {', '.join(SCALES)}")
    dataset: str = Field("modes", description="one that the scale has a recipe for")
    seeds: Numbers = Field((0,), description="e.g. 0,1,2")
    root: Path = Field(
        default_factory=lambda: default_root(), description="folder of image sets, store, results; empty: data/"
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    executor: str = Field("auto", description="who trains: auto, serial, processes, submitit or ray; or processes:4")
    compile: str = Field("auto", description="auto (on a CPU: long trainings), off, on, reduce-overhead, aot_eager")
    recorded: bool = Field(False, description="train nothing; show the recorded results")

    @field_validator("executor", "compile")
    @classmethod
    def _is_there(cls, value: str, field: ValidationInfo) -> str:
        (parse if field.field_name == "executor" else compiling.check)(value)
        return value

    @field_validator("device")
    @classmethod
    def _is_one(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            raise ValueError(f"there is no {value!r}; choose auto, cpu, cuda or cuda:N")
        return value

    @field_validator("root", mode="before")
    @classmethod
    def _root(cls, value: Any) -> Any:
        """Empty is the usual one; ``.`` is the current folder."""
        return value or default_root()

    @classmethod
    def check(cls, **values: Any) -> Self:
        """Validate values and what they mean together; :class:`SpecError` says what is wrong and the choices."""
        parameters = validated(cls, values)
        with in_a_sentence():
            parameters.goals()
        return parameters

    @classmethod
    def from_notebook(cls, namespace: dict[str, Any]) -> Self:
        """The parameters of the notebook that calls this with ``globals()``.

        papermill only warns of a parameter that does not exist and goes on with the default; here it
        is an error. What papermill injected stands in a cell that begins with ``# Parameters``.
        """
        injected = [name for cell in namespace.get("In", []) for name in _injected_names(cell)]
        return cls.check(**{name: namespace[name] for name in [*cls.model_fields, *injected] if name in namespace})

    def goals(self) -> list[Goal]:
        """Every model that the exhibit needs."""
        raise NotImplementedError

    def apart(self, **texts: str) -> str:
        """The texts of those parameters that are not at their defaults: the part under which such a run is recorded.

        At the defaults it is empty, and the record has no part.
        """
        fields = type(self).model_fields
        return "-".join(text for name, text in texts.items() if getattr(self, name) != fields[name].default)

    def command(self, notebook: str, here: bool = False) -> str:
        """The command that runs ``notebook`` with these parameters, for the record (not where and by whom).

        ``here``: to be typed on this machine, with its root, and with folders in full.
        """
        left_out = {"device", "executor", "compile", "recorded"} | (set() if here else {"root"})
        values = self.model_dump(exclude=left_out)
        defaults = {name: type(self).model_fields[name].get_default(call_default_factory=True) for name in values}
        options = [
            f"-p {name} {quote(_typed(value, here))}" for name, value in values.items() if value != defaults[name]
        ]
        return " ".join(["repro run", notebook, *options])


class Counted(Parameters):
    """Of an exhibit that counts or computes exactly: the common ones, of which none makes it train anything."""

    def goals(self) -> list[Goal]:
        return []


def _typed(value: Any, here: bool) -> str:
    """A value as one would type it; of a path the name alone, but ``here``, since records are read elsewhere."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, Path):
        return str(value.expanduser().resolve()) if here else value.name
    return str(value)


def _injected_names(cell: str) -> list[str]:
    if not cell.lstrip().startswith("# Parameters"):
        return []
    targets = [t for node in ast.parse(cell).body if isinstance(node, ast.Assign) for t in node.targets]
    return [target.id for target in targets if isinstance(target, ast.Name)]
