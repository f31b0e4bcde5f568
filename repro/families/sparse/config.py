"""What a sparse network is, as data; every choice that the text leaves open is a field with a default and a reason.

*Mixture of Experts in Image Classification: What's the Sweet Spot?* (Videau et al., 2024).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import Field, model_validator

from repro.errors import Frozen
from repro.models.token_routing import GateName, Routing

Placement = Literal["none", "last-2", "last-3", "stage", "every-2"]


class Shape(NamedTuple):
    """A dense network: ``dims`` and ``depths`` of its stages, a ViT's heads, and torchvision's name where it has one.

    An isotropic network is one stage. ``map_side`` is the side of its first map of tokens on small images.
    """

    body: Literal["convnext", "vit"]
    dims: tuple[int, ...]
    depths: tuple[int, ...]
    map_side: int
    heads: int = 0
    torchvision: str = ""


SHAPES = {
    "convnext-t": Shape("convnext", (96, 192, 384, 768), (3, 3, 9, 3), 16, 0, "convnext_tiny"),
    "convnext-s": Shape("convnext", (96, 192, 384, 768), (3, 3, 27, 3), 16, 0, "convnext_small"),
    "convnext-b": Shape("convnext", (128, 256, 512, 1024), (3, 3, 27, 3), 16, 0, "convnext_base"),
    "convnext-s-iso": Shape("convnext", (384,), (18,), 8),
    "convnext-micro": Shape("convnext", (32, 64, 128), (2, 4, 2), 16),
    "vit-s": Shape("vit", (384,), (12,), 8, 6),
    "vit-b": Shape("vit", (768,), (12,), 8, 12, "vit_b_16"),
    "vit-ti": Shape("vit", (192,), (12,), 8, 3),
    "vit-micro": Shape("vit", (96,), (4,), 8, 3),
}
"""The paper's T, S, B and isotropic S, ViT-S and -B; ``vit-ti`` and the micro ones are for images of 32 and 64 px.

Dims are those at width 1. The scale gpu trains at width 2: there ``vit-micro`` has 192 dims in 4 layers, and ``vit-ti``
384 in 12, as many as ViT-S.
"""


class SparseConfig(Frozen):
    """One network: its body, where its mixtures are, how they route, how they are regularised."""

    family: Literal["sparse"] = "sparse"
    network: str = Field(description="a name in SHAPES")
    num_classes: int = Field(ge=2)
    image_size: int = Field(ge=16, description="side of the images in pixels")
    width: float = Field(1.0, gt=0, le=4, description="factor on all dims, rounded to multiples of 8 (each head)")
    placement: Placement = Field("last-2", description="which MLPs become mixtures; none: the dense network")
    num_experts: int = Field(8, ge=1, le=1024, description="E; 8 in most tables, though the appendix says 4")
    top_k: int = Field(1, ge=1, description="k; the paper: 1 in ConvNeXt, 2 in ViT")
    hidden_ratio: float = Field(
        4.0, gt=0, description="hidden over model dims of an expert; 4 / k costs what the dense MLP does"
    )
    gate: GateName = Field("conv", description="no gate is clearly better (Table 10)")
    code_dim: int = Field(
        256, ge=1, description="cos and l2: dimensions of the likeness, at most half of the model's; Tutel's value"
    )
    noise: float = Field(1.0, ge=0, description="std of the noise on logits, in 1/E, while training; V-MoE's value")
    capacity: float | None = Field(
        1.05,
        gt=0,
        description="places of an expert, in equal shares; V-MoE's value. Training only: evaluation drops none",
    )
    batch_prioritised: bool = Field(True, description="said in the text; the batch is the group, there is no other")
    renormalise: bool = Field(
        False, description="weights of the chosen sum to 1; V-MoE's are raw: at k = 1 the gate would get no gradient"
    )
    importance_weight: float = Field(
        0.005, ge=0, description="of the loss, its mean over the mixtures; V-MoE's number, but V-MoE takes their sum"
    )
    load_weight: float = Field(
        0.005, ge=0, description="of the loss, its mean too: each of two mixtures weighs half of what it does in V-MoE"
    )
    added_skip: bool = Field(
        True,
        description="ConvNeXt: Figure 1b, which says where its skip goes, was not read; ours takes the experts' input, "
        "after LayerNorm, around them, and LayerScale scales both. Dense blocks have none",
    )
    layer_scale: float = Field(1e-6, gt=0, description="ConvNeXt: start of LayerScale, after the experts are combined")
    drop_path: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="of the last block, rising from 0; the paper has some; Table 11 says how much and was not read: "
        "none is a departure of ours",
    )
    expert_init: Literal["independent", "shared"] = Field(
        "independent", description="whether experts begin with weights of their own (V-MoE's share one draw)"
    )
    start: Literal["scratch", "imagenet"] = Field(
        "scratch",
        description="imagenet: torchvision's weights, and experts that begin as copies of the MLP (upcycling), which "
        "the paper does not mention",
    )

    @model_validator(mode="after")
    def _fits(self) -> SparseConfig:
        if self.network not in SHAPES:
            raise ValueError(f"network: there is no {self.network!r}; choose one of {', '.join(SHAPES)}")
        places(self.shape, self.placement)
        if self.top_k > self.num_experts:
            raise ValueError(f"top_k: {self.top_k} experts of {self.num_experts} cannot be chosen")
        if self.image_size % self.patch:
            raise ValueError(f"image_size: {self.image_size} is no multiple of the stem's {self.patch} px")
        if self.start == "imagenet":
            if not self.shape.torchvision or self.width != 1:
                named = [name for name, shape in SHAPES.items() if shape.torchvision]
                raise ValueError(f"start: there are weights of {', '.join(named)} at width 1 only; choose scratch")
            if self.patch != self.shape_patch:
                raise ValueError(f"start: the stem of torchvision's weights is for images of {LARGE} px or more")
            if self.placement != "none" and not (self.renormalise and self.hidden_ratio == 4):
                raise ValueError(
                    "start: copies of an MLP give its output only with renormalise true and hidden_ratio 4 "
                    "(with raw weights a network begins 36 % off)"
                )
        return self

    @property
    def shape(self) -> Shape:
        """The network's shape, at its width."""
        shape = SHAPES[self.network]
        step = 8 * max(shape.heads, 1)
        return shape._replace(dims=tuple(max(round(dim * self.width / step), 1) * step for dim in shape.dims))

    @property
    def shape_patch(self) -> int:
        """Side in pixels of the stem's patches on ImageNet: 4 for a pyramid, 16 for isotropic networks."""
        return 4 if len(SHAPES[self.network].dims) > 1 else 16

    @property
    def patch(self) -> int:
        """Side of the stem's patches: ImageNet's; on small images what leaves ``map_side`` tokens a side."""
        small = max(self.image_size // SHAPES[self.network].map_side, 1)
        return self.shape_patch if self.image_size >= LARGE else small

    @property
    def routing(self) -> Routing:
        return Routing(self.top_k, self.noise, self.capacity, self.batch_prioritised, self.renormalise)


LARGE = 128  # px: from here on ImageNet's stem fits


def places(shape: Shape, placement: Placement) -> list[tuple[int, int]]:
    """(stage, block) of each mixture, counted from 0 ("Impact of the position of MoE layers").

    every-2: every second block of a stage, the second first; last-2: the last block of each of the last two stages,
    or of an isotropic network the last two of its every-2; last-3: and the middle block of the last stage but one;
    stage: the last block of each stage. Raises :class:`ValueError` where an isotropic network has no such place.
    """
    every_2 = [(stage, block) for stage, depth in enumerate(shape.depths) for block in range(1, depth, 2)]
    ends = [(stage, depth - 1) for stage, depth in enumerate(shape.depths)]
    if placement == "none":
        return []
    if placement == "every-2":
        return every_2
    if len(shape.depths) == 1:
        if placement != "last-2":
            raise ValueError(f"placement: {placement} needs stages; an isotropic network has last-2 and every-2")
        return every_2[-2:]
    if placement == "stage":
        return ends
    middle = (ends[-2][0], (shape.depths[-2] - 1) // 2)
    return ([middle] if placement == "last-3" else []) + ends[-2:]
