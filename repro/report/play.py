"""The part "Play" of a notebook: things to turn, on what its run has already computed. Nothing is trained here.

    play = chapter.play()
    play.turn(play.exits, tau=(0.01, 0.1))

In JupyterLab a change of a control shows the result again. In the book and in a saved notebook the first state stands
there, and what needs a trained model says that it needs a run.

Axes: N images of the evaluation set, K experts, C classes, B images of a batch, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from repro.analysis.anytime import anytime, selected_expert, selected_experts
from repro.analysis.ensemblers import ENSEMBLERS, bagging
from repro.analysis.outputs import Outputs, accuracy, percent
from repro.families.single_gate.class_pictures import short
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.model import SingleGateMoE
from repro.families.single_gate.study import SingleGateParameters, open_study
from repro.models.registry import build_backbone, build_head
from repro.report.pictures import strip
from repro.report.tables import Captioned, frame

if TYPE_CHECKING:
    from repro.report.chapter import Chapter

METHODS: dict[str, Callable[[Outputs], Tensor]] = {"base alone": lambda outputs: outputs.base_logits, **ENSEMBLERS}
"""Scores ``[N, C]`` of each way to answer."""
AFTER_A_RUN = "<p><em>The images behind this need a trained model: run this notebook in JupyterLab.</em></p>"


class Play:
    """The models of a chapter's first seed; ``record`` is the run's result, or the first that is recorded, or None."""

    images: Any
    """The evaluation images."""

    def __init__(self, chapter: Chapter) -> None:
        self.trained, self.live = bool(chapter.own), chapter.book is None
        self.record = next(iter(chapter.results), None)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; where no run is there to ask, one that stands for all."""
        return tuple(map(short, self.images.class_names)) if self.trained else ("any class",)

    def turn(self, show: Callable[..., str], **choices: Sequence[Any]) -> None:
        """Display ``show(**values)``, HTML, at the first of all choices; in JupyterLab with a control for each."""
        from IPython.display import HTML, display

        controls = _controls(choices) if self.live else {}
        handle = display(HTML(show(**{name: options[0] for name, options in choices.items()})), display_id=True)

        def again(_: object) -> None:
            handle.update(HTML(show(**{name: control.value for name, control in controls.items()})))

        for control in controls.values():
            control.observe(again, names="value")

    def of_class(self, name: str) -> Tensor:
        """Which images are of a class, ``[N]``."""
        return torch.from_numpy(self.images.labels == self.classes.index(name))

    def scores(self, name: str) -> Tensor:
        """What a way to answer gives each class, ``[N, C]``."""
        raise NotImplementedError

    def compare(self, right: str, wrong: str, **of: str) -> str:
        """The images behind a difference of two accuracies: those that one way to answer wins over another."""
        if not self.trained:
            return AFTER_A_RUN
        labels = torch.from_numpy(self.images.labels)
        first, second = (self.scores(name, **of).argmax(1) for name in (right, wrong))
        won, lost = ((a == labels) & (b != labels) for a, b in ((first, second), (second, first)))
        gain = 100 * (int(won.sum()) - int(lost.sum())) / len(won)
        about = "".join(f"{escape(name)}: " for name in of.values())
        page = f"<p>{about}{int(won.sum())} images are right by {escape(right)} and wrong by {escape(wrong)}, "
        page += f"{int(lost.sum())} the other way round: {gain:+.2f} points. "
        return f"{page}What {escape(wrong)} took the former for:</p>" + self.strip(won, second)

    def strip(self, which: Tensor, answers: Tensor) -> str:
        """The first images of a mask ``[N]`` or of indices, each with its class and, if it is another, the answer."""
        indices = (which.nonzero()[:, 0] if which.dtype == torch.bool else which)[:10].tolist()
        labels = [
            self.classes[label] + ("" if label == answer else f" ✗ {self.classes[answer]}")
            for label, answer in zip(self.images.labels[indices].tolist(), answers[indices].tolist(), strict=True)
        ]
        return strip(self.images.images[indices].transpose(0, 2, 3, 1), labels)

    def shape(self, name: str, tensor: Tensor, axes: str) -> None:
        """Print what a tensor is, and where a run made it, between what its values lie."""
        values = f"  from {float(tensor.min()):.3g} to {float(tensor.max()):.3g}" if self.trained else ""
        print(f"{name:22}{axes:14}{list(tensor.shape)!s:18}{values}")


class MixturePlay(Play):
    """Single-gate mixtures."""

    def __init__(self, chapter: Chapter) -> None:
        super().__init__(chapter)
        assert isinstance(chapter.parameters, SingleGateParameters)
        self._parameters = chapter.parameters
        specs = [spec for spec in self._parameters.specs() if spec.seed == self._parameters.seeds[0]]
        self.models = dict(zip(names(specs), specs, strict=True))
        self.largest = max(self.models, key=lambda name: self.models[name].num_experts)

    @cached_property
    def study(self) -> Any:
        """The study of the run; its artifacts stand in the store."""
        return open_study(self._parameters)

    @cached_property
    def images(self) -> Any:
        return self.study.sources.images(self.models[self.largest], "evaluation")

    def outputs(self, model: str = "") -> Outputs:
        """What a model (the largest, unless named) answers on the evaluation images."""
        outputs: Outputs = self.study.outputs(self.models[model or self.largest])
        return outputs

    def exits(self, tau: float, rule: str = "any-time", model: str = "") -> str:
        """Who exits at a threshold: by Equation 2 (``any-time``) or by the base's ``confidence`` (Table 3)."""
        if not self.trained:
            return AFTER_A_RUN
        outputs, cost = self.outputs(model), self.models[model or self.largest].cost
        if rule == "any-time":
            (scores, experts), alone = anytime(outputs, tau), ~selected_experts(outputs, tau).any(1)
        else:
            alone = ~selected_expert(outputs, tau).any(1)
            experts = (~alone).long()
            scores = torch.where(alone[:, None], outputs.base_logits.softmax(-1), bagging(outputs))
        right, mean = scores.argmax(1) == outputs.labels, float(experts.double().mean())
        macs = (cost.base_macs + cost.gate_macs + mean * cost.expert_macs) / 1e6
        page = f"<p>τ = {tau:g}: {percent(alone):.1f} % of {len(right)} images exit; {mean:.2f} experts and "
        page += f"{macs:.2f} M multiply-adds an image; top-1 accuracy {percent(right):.2f} %.</p>"
        for fate, mask in (("exit and are wrong", alone & ~right), ("run experts and are wrong", ~alone & ~right)):
            page += f"<p>{int(mask.sum())} {fate}:</p>" + self.strip(mask, scores.argmax(1))
        return page

    def scores(self, name: str, model: str = "") -> Tensor:
        return METHODS[name](self.outputs(model))

    def by_class(self, name: str) -> str:
        """One class in every model: accuracies in percent, and the experts that its images are sent to."""
        if not self.trained:
            return AFTER_A_RUN
        mine = self.of_class(name)
        columns: dict[str, list[str]] = {"base alone": [], "expert": [], "bagging": [], "images by expert": []}
        for model in self.models:
            outputs = self.outputs(model)
            for method in ("base alone", "expert", "bagging"):
                columns[method].append(f"{accuracy(METHODS[method](outputs)[mine], outputs.labels[mine]):.1f}")
            dealt = outputs.top_experts()[mine, 0].bincount(minlength=outputs.num_experts)
            columns["images by expert"].append(" · ".join(map(str, dealt.tolist())))
        table = Captioned(frame(columns, list(self.models)), f"{name}: {int(mine.sum())} images").in_page()
        outputs = self.outputs()
        expert = outputs.top_experts()[:, 0]
        for k in expert[mine].bincount().argsort(descending=True)[:3].tolist():
            if (here := mine & (expert == k)).any():
                table += f"<p>{self.largest}: in expert {k}</p>" + self.strip(here, bagging(outputs).argmax(1))
        return table

    def batch(self, size: int = 8) -> tuple[SingleGateMoE, Tensor, Tensor]:
        """The largest model, normalised images ``[B, 3, S, S]`` and labels ``[B]``; without a run all on ``meta``."""
        spec = self.models[self.largest]
        if self.trained:
            source = self.study.sources.batches(spec, "evaluation", spec.base_recipe.augmentation)
            first = next(iter(source.clean(size)))
            return self.study.moe(spec), first.images.cpu(), first.labels.cpu()
        with torch.device("meta"):
            base = build_backbone(spec.base, spec.num_classes, spec.width)
            experts = [build_head(spec.expert, spec.num_classes, spec.width) for _ in range(spec.num_experts)]
            moe = SingleGateMoE(base, nn.Linear(base.head.fc.in_features, spec.num_experts), experts).eval()
            return moe, torch.empty(size, 3, spec.image_size, spec.image_size), torch.empty(size, dtype=torch.int64)


def names(specs: Sequence[StudySpec]) -> list[str]:
    """What tells models apart, e.g. ``num_experts 10``."""
    import pandas as pd

    fields = pd.json_normalize([spec.model_dump(mode="json") for spec in specs]).astype(str)
    rows = fields.loc[:, fields.nunique() > 1].to_dict("records")
    return [", ".join(f"{name} {value}" for name, value in row.items()) or "the model" for row in rows]


def _controls(choices: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Displayed: a slider for numbers, a list for names."""
    from ipywidgets import Dropdown, SelectionSlider

    controls = {
        name: Dropdown(
            options=list(dict.fromkeys(options)), value=options[0], description=name, layout={"width": "max-content"}
        )
        if isinstance(options[0], str)
        else SelectionSlider(options=sorted(options), value=options[0], description=name)
        for name, options in choices.items()
    }
    displayed(controls)
    return controls


def displayed(controls: Mapping[str, Any]) -> None:
    """Controls in a row; in a saved notebook, where nobody can turn them, a line."""
    from IPython.display import display
    from ipywidgets import HBox

    fallback = {"text/plain": "(controls: run this notebook in JupyterLab)"}
    row = HBox(list(controls.values()), layout={"flex_flow": "row wrap"})
    display({**row._repr_mimebundle_(), **fallback}, raw=True)
