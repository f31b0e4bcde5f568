"""What a DeepMoE is, as data. What the text leaves open is a field with a default and a reason."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from repro.errors import Frozen
from repro.models.gated import GateAt, Gated
from repro.training.recipe import later

EmbeddingOutput = Literal["softmax", "relu"]
GateInit = Literal["ones", "default"]
L1 = Literal["mean", "sum"]


class DeepMoEConfig(Frozen):
    """A gated backbone, its shallow embedding network, and how both are trained (Section 3)."""

    family: Literal["deepmoe"] = "deepmoe"
    backbone: str = Field("tr10", description="one of repro.models.widenets.WIDENETS")
    width: float = Field(1.0, gt=0, description="2: wide, 1: narrow (Section 4), of the backbone's own channels")
    num_classes: int = Field(ge=2)
    image_size: int = Field(32, ge=8, description="side of the input in pixels")
    lam: float = Field(
        2.0, ge=0, description="λ of Eq. (7); printed for Figure 5 alone, so scanned on validation images"
    )
    mu: float = Field(1.0, ge=0, description="μ of Eq. (7): 1 for CIFAR, 0 for ImageNet (Section 5)")
    start: Literal["scratch", "plain"] = Field(
        "scratch", description="plain: the backbone starts from the same network trained without gates (ours)"
    )

    gate_at: GateAt = Field("output", description="a gate before BatchNorm would turn zeros into β - μγ/σ")
    gated: Gated = Field("all", description="the text's count of ResNet-18 by Royer et al., 17, is stem and blocks")
    embedding_output: EmbeddingOutput = Field(
        "softmax", description="e is a softmax over the classes and μ's cross-entropy is on e, as Procedure 1 has it"
    )
    embedding_layers: int | None = Field(
        None, ge=1, le=5, description="4 for CIFAR, 5 for ImageNet (Section 3.3); none: by the image's size"
    )
    embedding_share: float = Field(
        0.02,
        gt=0,
        lt=1,
        description="'roughly 2 %' of the backbone's multiply-adds; channels c, 2c, 4c, 4c, ... are ours; a narrow "
        "backbone has little to share: 0.23 M in the three families at laptop scale, 2.7 to 10 M of a ResNet-56",
    )
    l1: L1 = Field(
        "mean",
        description="mean over a layer's channels, summed over layers: a departure of ours from Eq. (8) and Procedure "
        "1, whose ‖·‖₁ is a sum: over the 7,808 gated channels of a ResNet-18 twice as wide, at Figure 5's λ = 2, that "
        "is implausible; with the mean a channel of a wide layer is charged less",
    )
    lambda_reaches: Literal["all", "heads"] = Field(
        "heads",
        description="what λ's gradient trains: all, by Eq. (7) literally; heads: not the embedding, which under a "
        "large λ can become one and the same for all images, and gates depend on the image no more",
    )
    gate_init: GateInit = Field(
        "ones",
        description="gates begin near 1: heads are drawn from N(1, 0.5), of which both numbers are ours; PyTorch's own "
        "start closes half of the gates, which a large λ makes all",
    )
    lambda_warmup: float = Field(0.2, ge=0, le=1, description="share of stage one in which λ rises from 0: as above")
    batchnorm_eps: float = later(
        1e-5,
        gt=0,
        description="BatchNorm's ε in the gated backbone, PyTorch's own; a BatchNorm that follows a gate undoes its "
        "scale, so that λ and decay shrink gates until variances are below ε: then channels die of their scale",
    )
