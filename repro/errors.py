"""Errors that are written for the person who reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

Model = TypeVar("Model", bound=BaseModel)


class Frozen(BaseModel):
    """A value that does not change, and that has no fields but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ReproError(Exception):
    """Something the user can act on: what is wrong, where, and what to do.

    The command line prints it as one sentence and exits with status 1; a notebook shows the
    sentence instead of a traceback. ``recorded``: whoever measured has seen to a record of what is whole.
    """

    recorded = False

    def _render_traceback_(self, *_: object, **__: object) -> list[str]:
        """IPython's hook: the lines that a notebook cell shows for this exception."""
        return [f"{type(self).__name__}: {self}"]


class DataError(ReproError):
    """An image set is missing, truncated or not what it claims to be."""


class SpecError(ReproError):
    """A study was asked for that cannot be: an unknown field, a value out of range, an impossible pair."""


class StoreError(ReproError):
    """The store cannot be read or written."""


class TimeIsUpError(ReproError):
    """The time that a run was given is nearly up; what is finished is kept, and the same command goes on."""


class TrainingError(ReproError):
    """Training went wrong: numbers that are not numbers, an expert without data, an empty cluster."""


class StoppedError(ReproError, KeyboardInterrupt):
    """Stopped from the keyboard: a sentence in a notebook, too, and no traceback of a hundred lines."""


@contextmanager
def in_a_sentence() -> Iterator[None]:
    """A stop from the keyboard, and files or folders that cannot be read or written, as errors for the person."""
    try:
        yield
    except (StoppedError, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        raise StoppedError("stopped; the same command goes on from the last epoch that was kept") from None
    except OSError as error:
        what = f"{error.filename or 'a file or folder'}: {error.strerror or error}"
        raise ReproError(
            f"cannot read or write {what}; put that right, or choose another folder with the parameter root"
        ) from error


def validated(model: type[Model], values: dict[str, Any]) -> Model:
    """``model(**values)``, with pydantic's findings turned into one sentence that names fields and choices."""
    try:
        return model(**values)
    except ValidationError as error:
        known = ", ".join(model.model_fields)
        lines = []
        for finding in error.errors():
            field = ".".join(str(part) for part in finding["loc"])
            if finding["type"] == "extra_forbidden":
                lines.append(f"there is no field {field!r} (there are: {known})")
            elif finding["type"] == "missing":
                lines.append(f"{field} is missing")
            else:
                ours = finding["type"] == "value_error"
                message = str(finding["ctx"]["error"]) if ours else finding["msg"].lower()
                given = "" if ours and not message.startswith("should") else f", not {finding['input']!r}"
                lines.append(f"{field}: {message}{given}".lstrip(": "))
        raise SpecError("; ".join(lines)) from error
