"""The plain way of doing things, as torchvision's reference training does: the baseline of the benchmarks.

A Dataset of PIL images with transforms one image at a time, a DataLoader with worker processes,
float32, the memory format that comes by itself, ``loss.backward(); optimizer.step()``.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision import transforms

from repro.data.dataset import ImageDataset

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def random_images(number: int, size: int = 32, num_classes: int = 100) -> ImageDataset:
    """Noise: for speed only the number of images and their size matter."""
    rng = np.random.default_rng(0)
    names = tuple(str(c) for c in range(num_classes))
    images = rng.integers(0, 256, (number, 3, size, size), dtype=np.uint8)
    return ImageDataset("noise", "train", images, rng.integers(0, num_classes, number), names, MEAN, STD)


def made_up_shares(num_images: int, num_experts: int, gamma: float) -> Tensor:
    """A made-up hard gate ``[N, K]``, smoothed by γ."""
    own = torch.randint(0, num_experts, (num_images,), generator=torch.Generator().manual_seed(0))
    return F.one_hot(own, num_experts).float().clamp(min=gamma)


class PilImages(Dataset):
    """What torchvision's CIFAR does for an image, with the reference transforms."""

    def __init__(self, images: ImageDataset) -> None:
        self.pixels = np.ascontiguousarray(images.images.transpose(0, 2, 3, 1))
        self.labels = images.labels
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(images.image_size, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(images.mean, images.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), int(self.labels[index])


def loader(
    images: ImageDataset, batch_size: int, workers: int, sampler: Sampler[int] | None = None
) -> DataLoader[tuple[Tensor, Tensor]]:
    """The reference's DataLoader."""
    return DataLoader(
        PilImages(images), batch_size, shuffle=sampler is None, sampler=sampler, num_workers=workers, drop_last=True,
        persistent_workers=workers > 0,
    )  # fmt: skip


def optimizer(module: nn.Module) -> torch.optim.SGD:
    """The same SGD as ours."""
    return torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)


def step(module: nn.Module, sgd: torch.optim.SGD, images: Tensor, labels: Tensor) -> int:
    """One step; returns the number of images."""
    loss = F.cross_entropy(module(images), labels)
    sgd.zero_grad()
    loss.backward()
    sgd.step()
    return len(images)
