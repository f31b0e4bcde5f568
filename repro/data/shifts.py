"""Our shifts: a set of images corrupted at five strengths, for robustness without another data set.

The same images are drawn for every network and every seed of a study.
Axes: N images of the set, S pixels a side.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torchvision.transforms.v2 import functional as tv

from repro.data.augment import cutout
from repro.data.dataset import ImageDataset
from repro.errors import SpecError
from repro.randomness import generator

KINDS = ("noise", "blur", "contrast", "occlusion")
STRENGTHS = (1, 2, 3, 4, 5)


def shifted(data: ImageDataset, kind: str, strength: int) -> ImageDataset:
    """The set with every image corrupted.

    Args:
        data: N images.
        kind: ``noise`` (Gaussian, standard deviation 10 grey levels a strength), ``blur`` (Gaussian, S / 80 pixels),
            ``contrast`` (a sixth less a strength) or ``occlusion`` (a grey square of side S / 8 a strength, anywhere).
        strength: 1 to 5.

    Raises:
        SpecError: another kind or strength.
    """
    if kind not in KINDS or strength not in STRENGTHS:
        raise SpecError(f"there is no shift {kind!r} of strength {strength}: choose of {', '.join(KINDS)}, and 1 to 5")
    images = torch.from_numpy(data.images.copy())
    g = generator(0, "shift", kind, strength)
    if kind == "noise":
        parts = [part + 10 * strength * torch.randn(part.shape, generator=g) for part in images.split(1000)]
        found = torch.cat([part.round().clamp(0, 255).to(torch.uint8) for part in parts])
    elif kind == "blur":
        sigma = strength * data.image_size / 80
        found = tv.gaussian_blur(images, [2 * round(3 * sigma) + 1] * 2, [sigma] * 2)
    elif kind == "contrast":
        found = tv.adjust_contrast(images, 1 - strength / 6)
    else:
        side = strength * data.image_size // 8
        corner_N2 = torch.randint(0, data.image_size - side + 1, (len(images), 2), generator=g)
        found = cutout(images, corner_N2 + side // 2, side, 128)
    return replace(data, images=found.numpy())
