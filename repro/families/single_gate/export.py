"""A trained mixture that stands by itself: a folder with its weights, what it needs to be used, and its model card.

    from repro.families.single_gate.export import load
    model = load("my-moe")
    prediction = predict(model, model.prepare(image), tau=0.1)

``model.safetensors`` holds base, gate and experts, never a pickle; ``config.json`` the networks' names, the classes
and how an image is prepared; ``README.md`` is for people; ``onnx``, where it was asked for, the same networks as graphs
(:mod:`repro.families.single_gate.onnx_form`). Nothing here knows of studies or stores.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from repro.data.archives import checksum
from repro.data.batches import normaliser
from repro.data.imagenet import as_displayed, center_crop
from repro.errors import Frozen, ReproError, StoreError
from repro.families.single_gate.model import SingleGateMoE
from repro.families.single_gate.predict import predict
from repro.files import write_aside, write_text
from repro.models.registry import build_backbone, build_head, freeze

WEIGHTS, CONFIG, CARD, ONNX = "model.safetensors", "config.json", "README.md", "onnx"
FORMAT: Literal["repro single-gate mixture"] = "repro single-gate mixture"


class Config(Frozen):
    """What ``config.json`` says.

    classes       C names, in the order of the logits
    shorter_side  pixels to which the shorter side of an image is scaled, before ``image_size`` are cut from the middle
    mean, std     what normalisation subtracts and divides by, per channel, in units of [0, 1]
    graphs_sha256 of each file in ``onnx``, in the order trunk, base, experts; none without ONNX graphs
    about         what else is known: data, training, measurements, where they came from
    """

    format: Literal["repro single-gate mixture"] = FORMAT
    version: Literal[1] = 1
    base: str
    expert: str
    width: float = Field(gt=0, le=8)
    num_experts: int = Field(ge=1, le=1024)
    classes: tuple[str, ...] = Field(min_length=1)
    image_size: int = Field(ge=16, le=4096)
    shorter_side: int = Field(ge=16, le=8192)
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    weights_sha256: str = ""
    graphs_sha256: dict[str, str] = Field(default_factory=dict)
    about: dict[str, Any] = Field(default_factory=dict)


class OfPictures:
    """What makes a mixture (:class:`~repro.families.single_gate.model.Mixture`) with a ``config`` usable: from an image
    to the name of a class.
    """

    config: Config

    @property
    def device(self) -> torch.device:
        """Where images are prepared."""
        return torch.device("cpu")

    def prepare(self, images: Image.Image | Sequence[Image.Image]) -> Tensor:
        """Pictures as the model takes them, float32 ``[B, 3, S, S]`` on its device: scaled, cut, normalised."""
        several = [images] if isinstance(images, Image.Image) else images
        side, size = self.config.shorter_side, self.config.image_size
        pixels = np.stack([center_crop(as_displayed(image), side, size) for image in several])
        normalised = normaliser(self.config.mean, self.config.std, self.device)
        return normalised(torch.from_numpy(pixels).to(self.device))

    def names(self, scores: Tensor) -> list[str]:
        """The name of the class with the highest of scores ``[B, C]``, for each image."""
        return [self.config.classes[label] for label in scores.argmax(1).tolist()]

    def label(self, image: Image.Image, tau: float) -> str:
        """The name of the class of one picture, at threshold τ."""
        return self.names(predict(self, self.prepare(image), tau).scores)[0]  # type: ignore[arg-type]  # see above


class ExportedMoE(SingleGateMoE, OfPictures):
    """The mixture of a ``config``, its weights still to be loaded."""

    def __init__(self, config: Config) -> None:
        num_classes = len(config.classes)
        base = build_backbone(config.base, num_classes, config.width)
        gate = nn.Linear(base.head.fc.in_features, config.num_experts)
        experts = [build_head(config.expert, num_classes, config.width) for _ in range(config.num_experts)]
        super().__init__(base, gate, experts)
        self.config = config

    @property
    def device(self) -> torch.device:
        return self.gate.weight.device


def save(
    folder: Path, moe: SingleGateMoE, config: Config, card: str, graphs: Mapping[str, bytes] | None = None
) -> Path:
    """Write a model to ``folder``, over an earlier export if one stands there; returns the folder.

    ``graphs`` are its networks in ONNX, by file name, in the order of ``Config.graphs_sha256``.
    :class:`StoreError` if the folder holds something else, or cannot be written.
    """
    folder, graphs = check_folder(folder), graphs or {}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in moe.state_dict().items()}
    try:
        with write_aside(folder / WEIGHTS) as aside:
            save_file(tensors, aside, {"format": "pt"})
        if (folder / ONNX).exists():  # they were of the weights before
            shutil.rmtree(folder / ONNX)
        for name, model in graphs.items():
            with write_aside(folder / ONNX / name) as aside:
                aside.write_bytes(model)
        sums = {name: hashlib.sha256(model).hexdigest() for name, model in graphs.items()}
        of_files = {"weights_sha256": checksum(folder / WEIGHTS, "sha256"), "graphs_sha256": sums}
        sealed = config.model_copy(update=of_files).model_dump(mode="json")
        write_text(folder / CONFIG, json.dumps(sealed, indent=1, ensure_ascii=False) + "\n")
        write_text(folder / CARD, card)
    except (OSError, SafetensorError) as error:
        raise StoreError(f"the model cannot be written to {folder}: {error}") from error
    return folder


def check_folder(folder: Path | str) -> Path:
    """The folder itself; :class:`StoreError` unless it is free for an export: not there, empty, or an earlier one."""
    folder = Path(folder)
    if folder.exists() and not (folder.is_dir() and _is_ours(folder)):
        raise StoreError(f"{folder} holds something that is no exported model; choose another folder")
    return folder


def load(folder: Path | str, device: torch.device | str = "cpu") -> ExportedMoE:
    """The exported model in ``folder``, frozen, on ``device``.

    :class:`StoreError` says what is wrong: no such folder, no such model, a damaged file, another one's weights.
    """
    folder = Path(folder)
    config = read_config(folder)
    try:
        if checksum(folder / WEIGHTS, "sha256") != config.weights_sha256:
            raise StoreError(f"{folder / WEIGHTS} is damaged, or another model's: its checksum is not {CONFIG}'s")
        tensors = load_file(folder / WEIGHTS)
    except FileNotFoundError as error:
        raise StoreError(f"{folder / WEIGHTS} is missing; copy the whole folder, or export the model again") from error
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise StoreError(f"{folder / WEIGHTS} cannot be read as weights ({error})") from error
    try:
        with torch.device("meta"):  # nothing is drawn for weights that are replaced at once
            model = ExportedMoE(config)
        model.load_state_dict(tensors, assign=True)
    except (ReproError, RuntimeError) as error:
        what = " ".join(str(error).split())[:300]
        raise StoreError(f"{folder}: the networks of {CONFIG} and the weights do not fit ({what})") from error
    return freeze(model).to(device)


def read_config(folder: Path) -> Config:
    """``config.json`` of an exported model; :class:`StoreError` if there is none."""
    path = Path(folder) / CONFIG
    try:
        return Config.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(f"there is no exported model in {folder}: {CONFIG} is missing") from error
    except ValidationError as error:
        finding = error.errors()[0]
        where = ".".join(str(part) for part in finding["loc"])
        raise StoreError(f"{path} does not describe an exported model: {where or 'it'}: {finding['msg']}") from error
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error


def _is_ours(folder: Path) -> bool:
    """Whether a folder may be written over: an export, whole or begun, or empty."""
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    if CONFIG in names:
        return names <= {WEIGHTS, CONFIG, CARD, ONNX} and FORMAT in (folder / CONFIG).read_text()
    return names <= {WEIGHTS, CARD} or (names <= {WEIGHTS, CARD, ONNX} and WEIGHTS in names)
