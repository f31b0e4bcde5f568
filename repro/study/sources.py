"""The images of a spec, and batches of them; each loaded once, however many artifacts need them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from repro.data.augment import Augmentation
from repro.data.batches import BatchSource, DeviceBatches
from repro.data.catalogue import load as load_images
from repro.data.cifar import superclasses
from repro.data.dataset import ImageDataset, Split
from repro.data.folders import decode, index_folder
from repro.data.imagenet import ImageFolderIndex, index_imagenet
from repro.data.stream import StreamBatches
from repro.study.image_set import ImageSet

Part = Literal["train", "evaluation"]


class Sources:
    """Images below ``root``, as the specs' ``evaluate`` divides them, batched on ``device``."""

    def __init__(self, root: Path, device: torch.device) -> None:
        self.root = root
        self.device = device
        self._data: dict[tuple[object, ...], ImageDataset] = {}
        self._batches: dict[tuple[object, ...], BatchSource] = {}

    def images(self, spec: ImageSet, part: Part) -> ImageDataset:
        """The images of a part: ``train``, or ``evaluation`` (test, or the held-out part of the training set)."""
        split: Split = "train" if part == "train" or spec.evaluate == "validation" else "test"
        number = spec.num_train if split == "train" else spec.num_test
        key = (spec.folder or spec.dataset, split, spec.image_size, number)
        if key not in self._data and spec.folder:
            self._data[key] = decode(self._index(spec, part), spec.image_size)
        elif key not in self._data:
            self._data[key] = load_images(spec.dataset, split, self.root, spec.image_size, num_images=number)
        if spec.evaluate == "test":
            return self._data[key]
        return self._data[key].holdout()[0 if part == "train" else 1]

    def batches(self, spec: ImageSet, part: Part, augmentation: Augmentation) -> BatchSource:
        """Batches of a part: from memory on the device, or streamed.

        ImageNet is streamed, and so are folders, unless their images are padded and cropped, which takes one size.
        """
        data = (spec.folder or spec.dataset, spec.image_size, spec.num_train, spec.num_test, spec.evaluate)
        key = (*data, part, augmentation)
        if key not in self._batches:
            if spec.dataset == "imagenet" or (spec.folder and augmentation.crop != "pad"):
                index, side = self._index(spec, part), shorter_side(spec)
                self._batches[key] = StreamBatches(index, augmentation, self.device, spec.image_size, resize=side)
            else:
                self._batches[key] = DeviceBatches(self.images(spec, part), augmentation, self.device)
        return self._batches[key]

    def superclasses(self, spec: ImageSet) -> tuple[tuple[str, ...], torch.Tensor]:
        """Their names, and the superclass ``[C]`` of each class; where a set has none, each class is one of its own."""
        if spec.dataset == "cifar100":
            names, of_class = superclasses(self.root)
            return names, torch.from_numpy(of_class)
        names = self.about(spec).class_names
        return names, torch.arange(len(names))

    def about(self, spec: ImageSet) -> ImageDataset | ImageFolderIndex:
        """The evaluation set, for its class names and normalisation; of one that is streamed, its index."""
        streamed = spec.folder or spec.dataset == "imagenet"
        return self._index(spec, "evaluation") if streamed else self.images(spec, "evaluation")

    def _index(self, spec: ImageSet, part: Part) -> ImageFolderIndex:
        split: Split = "train" if part == "train" else "test"
        return index_folder(spec.folder, split, self.root) if spec.folder else index_imagenet(split, self.root)


def shorter_side(spec: ImageSet) -> int:
    """To how many pixels the shorter side of an image is scaled before its central square is cut, for evaluation."""
    return round(spec.image_size * 256 / 224) if spec.dataset == "imagenet" else spec.image_size
