"""The part "Play" of DeepMoE's and sparse networks' notebooks: networks of any family, by what they answer."""

from __future__ import annotations

import re
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from repro.analysis.chosen_experts import tokens_per_image
from repro.analysis.outputs import percent
from repro.data.augment import Augmentation
from repro.families.deepmoe import model as deepmoe
from repro.families.deepmoe import steps as deepmoe_steps
from repro.families.deepmoe.steps import Asked
from repro.families.sparse import model as sparse
from repro.families.sparse.scales import SparseSpec
from repro.families.sparse.steps import chosen_experts, load_network
from repro.report.pictures import expert_tiles, strip
from repro.report.play import AFTER_A_RUN, Play
from repro.report.tables import Captioned, frame
from repro.study.image_set import ImageSet
from repro.study.plain import PlainSpec
from repro.study.record import open_runner

if TYPE_CHECKING:
    from repro.report.chapter import Chapter

ANY_SPEC: TypeAdapter[Asked | SparseSpec | PlainSpec] = TypeAdapter(Asked | SparseSpec | PlainSpec)
PLACE = re.compile(r"^control |,? on \S+( alone)?, seed \d+.*$")
"""What all labels of one seed share."""
EMBEDDING = ", its embedding network alone"


class NetworksPlay(Play):
    """The networks that an exhibit trains for its first seed, by name; ``mixture`` is the first that routes."""

    def __init__(self, chapter: Chapter) -> None:
        super().__init__(chapter)
        parameters = chapter.parameters
        self._parameters = parameters.model_copy(update={"seeds": parameters.seeds[:1]})
        goals = {PLACE.sub("", goal.label): goal for goal in self._parameters.goals()}
        specs: dict[str, Any] = {name: ANY_SPEC.validate_json(goal.config) for name, goal in goals.items()}
        self._images = _images(list(specs.values())[-1])
        self.specs = {  # a scan is on other images
            name: spec for name, spec in specs.items() if _images(spec).evaluate == self._images.evaluate
        }
        self.goals = {name: goals[name] for name in self.specs}
        self.mixtures = [name for name, spec in self.specs.items() if _routes(spec)]
        self.mixture = self.mixtures[0]
        alone = [name + EMBEDDING for name, spec in self.specs.items() if isinstance(spec, Asked)]
        self.models = [*self.mixtures, *alone, *(name for name in self.specs if name not in self.mixtures)]

    @cached_property
    def runner(self) -> Any:
        """The runner of all networks; their artifacts stand in the store."""
        return open_runner(self._parameters)

    @cached_property
    def images(self) -> Any:
        return self.runner.context.sources.images(self._images, "evaluation")

    def predictions(self, model: str) -> dict[str, Tensor]:
        """What a network answers: ``logits``, ``labels``, and what its family adds."""
        tensors: dict[str, Tensor] = self.runner.load(self.goals[model.removesuffix(EMBEDDING)].steps[0]).tensors
        return tensors

    def scores(self, name: str) -> Tensor:
        """``[N, C]`` of a network, or of the embedding network within it."""
        return self.predictions(name)["embedding_logits" if name.endswith(EMBEDDING) else "logits"]

    def by_class(self, name: str) -> str:
        """One class in every network: accuracies in percent, beside those of all classes."""
        if not self.trained:
            return AFTER_A_RUN
        mine, labels = self.of_class(name), torch.from_numpy(self.images.labels)
        right = [self.scores(model).argmax(1) == labels for model in self.models]
        columns = {name: [f"{percent(r[mine]):.1f}" for r in right], "all": [f"{percent(r):.1f}" for r in right]}
        table = Captioned(frame(columns, self.models), f"top-1 accuracy, %, of {int(mine.sum())} images").in_page()
        return table + self.strip(mine & ~right[0], self.scores(self.models[0]).argmax(1))

    def by_cost(self, model: str) -> str:
        """The images on which a network whose cost depends on the image spends least, and most."""
        if not self.trained:
            return AFTER_A_RUN
        predictions = self.predictions(model)
        macs_N, answers_N = predictions["macs"].double(), predictions["logits"].argmax(1)
        order_N, quarter = macs_N.argsort(stable=True), len(macs_N) // 4
        page = f"<p>{escape(model)}: {macs_N.min() / 1e6:.2f} to {macs_N.max() / 1e6:.2f} M multiply-adds an image.</p>"
        for extreme, which in (("least", order_N[:quarter]), ("most", order_N.flip(0)[:quarter])):
            right = percent(answers_N[which] == predictions["labels"][which])
            page += f"<p>The quarter that costs {extreme}: {macs_N[which].mean() / 1e6:.2f} M, top-1 {right:.1f} %.</p>"
            page += self.strip(which, answers_N)
        return page

    def experts(self, name: str, model: str = "", most: int = 6) -> str:
        """Where the tokens of a class go in each mixture of a sparse network, in percent, and maps of some images."""
        if not self.trained:
            return AFTER_A_RUN
        model = model or self.mixture
        spec, mine = self.specs[model], self.of_class(name)
        chosen, count = chosen_experts(spec, self.predictions(model)), spec.model.num_experts
        columns: dict[str, list[str]] = {}
        for number, experts_MTK in enumerate(chosen, 1):
            counts_ME = tokens_per_image(experts_MTK[..., :1], count).double()
            for images, rows_ME in ((name, counts_ME[mine]), ("all", counts_ME)):
                columns[f"mixture {number}, {images}"] = [f"{100 * s:.1f}" for s in rows_ME.sum(0) / rows_ME.sum()]
        table = frame(columns, [f"expert {e}" for e in range(count)])
        page = Captioned(table, f"{model}: the share of tokens that an expert gets, %").in_page()
        first = mine.nonzero()[:most, 0]
        pictures = expert_tiles(self.images.images[first.tolist()], [experts[first] for experts in chosen], 64)
        for label, tiles in zip(["", *(f"mixture {n}" for n in range(1, len(pictures)))], pictures, strict=True):
            page += strip(tiles, [label] * len(first))
        return page

    def batch(self, size: int = 8) -> tuple[nn.Module, Tensor, Tensor]:
        """A mixture, normalised images ``[B, 3, S, S]``, labels ``[B]``; without a run an untrained one and zeros."""
        spec = self.specs[self.mixture]
        make: Any = deepmoe.build if isinstance(spec, Asked) else sparse.build
        if not self.trained:
            side = self._images.image_size
            return make(spec.model).eval(), torch.zeros(size, 3, side, side), torch.zeros(size, dtype=torch.int64)
        load: Any = deepmoe_steps.load if isinstance(spec, Asked) else load_network
        (network,) = self.goals[self.mixture].steps[0].needs
        source = self.runner.context.sources.batches(self._images, "evaluation", Augmentation())
        first = next(iter(source.clean(size)))
        return load(spec, self.runner.load(network)).eval(), first.images.cpu(), first.labels.cpu()


def _images(spec: Asked | ImageSet) -> ImageSet:
    return spec.spec if isinstance(spec, Asked) else spec


def _routes(spec: Asked | ImageSet) -> bool:
    return isinstance(spec, Asked) or (isinstance(spec, SparseSpec) and spec.model.placement != "none")
