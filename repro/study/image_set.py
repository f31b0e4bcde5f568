"""Which images a model is trained on and asked about: what every family's spec begins with."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from repro.data.catalogue import DATASETS
from repro.data.folders import Folder
from repro.errors import Frozen

DatasetName = Literal["modes", "cifar10", "cifar100", "tiny-imagenet", "imagenet", "folder"]


class ImageSet(Frozen):
    """An image set at a size, and what of it is trained on and reported on."""

    dataset: DatasetName
    folder: Folder | None = Field(None, description="dataset folder: which one, by its content")
    image_size: int = Field(ge=16, description="side of the images in pixels")
    num_train: int | None = Field(None, ge=1, description="a smaller training set, of one that fits in memory")
    num_test: int | None = Field(None, ge=1, description="a smaller test set, of one that fits in memory")
    evaluate: Literal["test", "validation"] = Field(
        "test", description="validation: train on 90 % of the training set and report on the rest, for tuning"
    )

    @model_validator(mode="after")
    def _parts_exist(self) -> ImageSet:
        if self.dataset in ("imagenet", "folder") and self.num_train is not None:
            raise ValueError(f"num_train: a part of {self.dataset} cannot be asked for, as it is streamed")
        if self.num_train and self.num_train > (most := DATASETS[self.dataset].num_train):
            raise ValueError(f"num_train: {self.dataset} has {most} training images; ask for as many at the most")
        if (self.dataset == "folder") != (self.folder is not None):
            raise ValueError("folder: dataset folder, and no other, needs one that repro.data.folders.adopt gave")
        if self.dataset in ("imagenet", "folder") and self.evaluate == "validation":
            raise ValueError(f"evaluate: {self.dataset} is streamed, and no part of it is held out; choose test")
        return self

    @property
    def num_classes(self) -> int:
        """C."""
        return self.folder.num_classes if self.folder else DATASETS[self.dataset].classes

    @property
    def data(self) -> str:
        """What the images are called: the dataset's name, or the folder's."""
        return self.folder.name if self.folder else self.dataset

    @property
    def num_images(self) -> tuple[int, int]:
        """Images to train on and to evaluate on."""
        if self.folder:
            return self.folder.num_train, self.folder.num_validation + self.folder.num_test
        card = DATASETS[self.dataset]
        train, test = self.num_train or card.num_train, self.num_test or card.num_test
        return (train, test) if self.evaluate == "test" else (round(0.9 * train), round(0.1 * train))

    def trained_on(self) -> dict[str, Any]:
        """What whatever is trained depends on: part of a step's config."""
        return {
            "dataset": self.dataset,
            "image_size": self.image_size,
            "num_train": self.num_train,
            "folder": self.folder.digest if self.folder else None,
            "trained_on": "all" if self.evaluate == "test" else "fit",
        }

    def evaluated_on(self) -> dict[str, Any]:
        """What predictions depend on beside the model."""
        return {"evaluate": self.evaluate, "num_test": self.num_test}
