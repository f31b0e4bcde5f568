"""An artifact and its folder: written with checksums, believed only when they hold, stale when it rests on others.

weights.safetensors   tensors, never pickle
artifact.json         what it depends on, metrics, history, where it came from, checksums
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, float16, nn

from repro.data.archives import checksum
from repro.study.contents import ABOUT, WEIGHTS, DamagedError, check_tensors, signed
from repro.training.fit import Epoch

if TYPE_CHECKING:
    from repro.study.graph import Step


@dataclass(frozen=True)
class Artifact:
    """Tensors with what is known of them.

    metrics  small numbers, e.g. the gate's agreement with g0
    history  one ``[loss, accuracy, seconds, {name: mean}]`` an epoch, where it was trained
    """

    tensors: dict[str, Tensor]
    metrics: dict[str, float] = field(default_factory=dict)
    history: list[list[Any]] = field(default_factory=list)


def trained(module: nn.Module, history: list[Epoch]) -> Artifact:
    """The artifact of a trained module, on the CPU as one that was read is."""
    return Artifact(
        {name: t.cpu() for name, t in module.state_dict().items()}, history=[list(epoch) for epoch in history]
    )


def write_artifact(
    folder: Path, step: Step, artifact: Artifact, made: Mapping[str, Any], parents: Mapping[str, str]
) -> None:
    """Write both files into ``folder``; ``made`` says where and when, ``parents`` (``kind/key``: checksum) of what."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in artifact.tensors.items()}
    save_file(tensors, folder / WEIGHTS)
    about = {
        "kind": step.kind, "hash": step.key, "label": step.label, "depends_on": step.depends_on,
        "metrics": artifact.metrics, "history": artifact.history, "made": made,
        "conditions": {"parents": dict(parents)}, "weights_sha256": checksum(folder / WEIGHTS, "sha256"),
    }  # fmt: skip
    (folder / ABOUT).write_bytes(signed(about))


def read_tensors(folder: Path, about: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors, in single precision where they were rounded.

    :class:`DamagedError` when the file is not the one that was written.
    """
    check_tensors(folder, about)
    try:
        tensors = load_file(folder / WEIGHTS)
        if "rounded" in about:  # in half precision, to travel (see pack.py)
            return {name: t.float() if t.dtype == float16 else t for name, t in tensors.items()}
        return tensors
    except (SafetensorError, ValueError, KeyError) as error:
        raise DamagedError(f"{WEIGHTS} is not a file of tensors ({error})") from error


def why_stale(about: Mapping[str, Any], parents: Mapping[str, str]) -> str | None:
    """Why an artifact must be made again, in words; None when its parents are those of now.

    ``parents`` are the artifacts that it would be made from now: ``kind/key`` -> checksum. What else it depends on, the
    revision of the code among it, is its key; images are what they are called, which is seen to when they are loaded.

    The precision that it was made in is not compared: a base of bf16 serves a gate of fp32, being the network that it
    is. One that was made anew in another precision has another checksum; records name every precision (``made``).
    """
    for name, then in about["conditions"]["parents"].items():
        if then != parents.get(name, then):
            kind = name.partition("/")[0]
            return f"the {kind} that it was made from was made anew and has other weights (in store/{name})"
    return None
