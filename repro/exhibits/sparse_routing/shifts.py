"""Our shifts: a set of images corrupted at five strengths, for robustness without another data set.

The same images are drawn for every network and every seed of a study.
Axes: N images of the set, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from repro.data.augment import Augmentation, Draws, cutout
from repro.data.batches import BatchSource, DeviceBatches
from repro.data.dataset import ImageDataset
from repro.data.stream import StreamBatches
from repro.errors import SpecError
from repro.randomness import generator
from repro.study.image_set import ImageSet
from repro.study.sources import Sources

KINDS = ("noise", "blur", "contrast", "occlusion")
STRENGTHS = (1, 2, 3, 4, 5)


def shifted_batches(sources: Sources, spec: ImageSet, kind: str, strength: int) -> BatchSource:
    """The evaluation images of a spec, corrupted: in memory, or each batch as it is decoded."""
    clean = sources.batches(spec, "evaluation", Augmentation())
    if isinstance(clean, StreamBatches):
        return ShiftedStream(clean, kind, strength)
    return DeviceBatches(shifted(sources.images(spec, "evaluation"), kind, strength), Augmentation(), sources.device)


class ShiftedStream(StreamBatches):
    """What is drawn is a function of a batch's first image, so the same for every network in batches of one size."""

    def __init__(self, clean: StreamBatches, kind: str, strength: int) -> None:
        super().__init__(clean.index, clean.augmentation, clean.device, clean.image_size, clean._resize)
        self._shift = kind, strength

    def _decoded(self, batches: tuple[Tensor, ...], draws: Draws | None) -> Iterator[tuple[Tensor, Tensor]]:
        for indices, pixels in super()._decoded(batches, draws):
            yield indices, corrupted(pixels, *self._shift, int(indices[0]))


def shifted(data: ImageDataset, kind: str, strength: int) -> ImageDataset:
    """The set with every image corrupted."""
    return replace(data, images=corrupted(torch.from_numpy(data.images.copy()), kind, strength).numpy())


def corrupted(images: Tensor, kind: str, strength: int, *place: int) -> Tensor:
    """Images uint8 ``[N, 3, S, S]``, every one corrupted.

    Args:
        images: N images.
        kind: ``noise`` (Gaussian, standard deviation 10 grey levels a strength), ``blur`` (Gaussian, S / 80 pixels),
            ``contrast`` (a sixth less a strength) or ``occlusion`` (a grey square of side S / 8 a strength, anywhere).
        strength: 1 to 5.
        place: Of a part of a set, which one: other parts get other draws.

    Raises:
        SpecError: another kind or strength.
    """
    if kind not in KINDS or strength not in STRENGTHS:
        raise SpecError(f"there is no shift {kind!r} of strength {strength}: choose of {', '.join(KINDS)}, and 1 to 5")
    g, size = generator(0, "shift", kind, strength, *place), images.shape[-1]
    if kind == "noise":
        parts = [part + 10 * strength * torch.randn(part.shape, generator=g) for part in images.split(1000)]
        return torch.cat([part.round().clamp(0, 255).to(torch.uint8) for part in parts])
    if kind == "blur":
        sigma = strength * size / 80
        return tv.gaussian_blur(images, [2 * round(3 * sigma) + 1] * 2, [sigma] * 2)
    if kind == "contrast":
        return tv.adjust_contrast(images, 1 - strength / 6)
    side = strength * size // 8
    corner_N2 = torch.randint(0, size - side + 1, (len(images), 2), generator=g)
    return cutout(images, corner_N2 + side // 2, side, 128)
