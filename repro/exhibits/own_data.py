"""The method on anybody's images: a folder, a backbone, and an any-time mixture of experts at the end.

This is no table of the paper and has none of its scales: there are two recipes, each of whose values can be set.
Three parts of the folder have three uses (:mod:`repro.data.folders`): ``train`` for Algorithm 1, ``validation`` to
choose thresholds on, ``test`` to report what was chosen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from pydantic import BeforeValidator, Field

from repro.analysis.anytime import THRESHOLDS, answers
from repro.analysis.outputs import Outputs, percent
from repro.data.batches import num_steps
from repro.data.catalogue import SPLITS
from repro.data.folders import Folder, adopt, decode, example_folder, index_folder
from repro.errors import SpecError, validated
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.controls import EQUAL_TRAINING, equal_training
from repro.families.single_gate.envelope import choices, held_parts, ways_of
from repro.families.single_gate.export import load
from repro.families.single_gate.predict import predict
from repro.families.single_gate.scales import GATE, STACKING
from repro.families.single_gate.study import SingleGateParameters, Study, measured, measures, open_study, record
from repro.models.trnet import BLOCKS_PER_STAGE
from repro.report.claim import Cell
from repro.report.curves import draw, each_seed, in_millions
from repro.report.exhibit import Exhibit
from repro.report.model_card import export_asked
from repro.report.numbers import NONE, signed
from repro.report.plots import COLOURS, MARKERS, NAMES, panels
from repro.report.statistics import by_chance, by_chance_of_pairs
from repro.report.tables import Captioned, about, frame, frame_of_rows, means
from repro.report.verdict import SEEDS, by_seed, difference, summary_of
from repro.study.record import cost_row, seed_by_seed
from repro.study.results import Measurement, StudyResult, Table

NAME = "own_data"
FEWEST = 10
"""Training images for each expert: below that BatchNorm may meet batches of one image."""

RECIPES: dict[str, dict[str, Any]] = {
    "small": {
        "backbone": "tr10", "width": 0.25, "image_size": 32, "pretrained": False, "epochs": 8, "expert_epochs": 4,
        "batch_size": 64, "learning_rate": 0.1, "weight_decay": 5e-4, "crop": "pad", "flip": False,
    },
    "photographs": {
        "backbone": "resnet18", "width": 1.0, "image_size": 224, "pretrained": True, "epochs": 10, "expert_epochs": 4,
        "batch_size": 32, "learning_rate": 0.01, "weight_decay": 1e-4, "crop": "resized", "flip": True,
    },
}  # fmt: skip
"""What parameters are where they are not given: usual values, tuned on nothing."""
FEWEST_STEPS = {"epochs": 300, "expert_epochs": 60}
"""Steps of SGD, of the base and of an expert of average share, that epochs which are not given make at least."""
ANY_FOLDER = Folder(name="any", digest="0" * 16, num_classes=10, num_train=10**9, num_validation=10**9, num_test=10**9)
NEIGHBOURS, PIXELS = 5, 16  # the baseline: nearest neighbours on so many pixels a side


class Parameters(SingleGateParameters):
    """The folder, the network, how it is trained; what is not given is the recipe's."""

    scale: Literal["own"] = "own"
    dataset: Literal["folder"] = "folder"
    folder: Annotated[Path | None, BeforeValidator(lambda value: value or None)] = Field(
        None, description="your images; without one, a small folder is made of an image set"
    )
    example: str = Field("modes", description="without a folder: the image set whose first ten classes are taken")
    recipe: Literal["small", "photographs"] = "small"
    backbone: str | None = Field(None, description="tr10 ... or one of torchvision's, such as resnet50@layer3")
    expert: str | None = Field(None, description="the experts' network; without it, the backbone's")
    width: float | None = Field(None, description="width multiplier of tr-networks")
    image_size: int | None = Field(None, description="pixels a side")
    pretrained: bool | None = Field(None, description="begin at torchvision's weights for ImageNet")
    num_experts: int = Field(5, ge=1, description="K")
    gamma: float = Field(0.05, ge=0, le=1, description="smoothing γ")
    epochs: int | None = Field(None, description="of the base; without it the recipe's, or more for a small folder")
    expert_epochs: int | None = None
    batch_size: int | None = Field(None, ge=1)
    learning_rate: float | None = Field(None, description="the peak of one cycle")
    weight_decay: float | None = None
    crop: str | None = Field(None, description="pad, in memory; resized: RandomResizedCrop, streamed; or none")
    flip: bool | None = Field(None, description="mirror left-right with probability 1/2")
    control: bool = Field(True, description="train the base once more, alone, as long as base and experts together")
    slack: float = Field(0.5, ge=0, description="points that the cheapest threshold may lose on the validation images")

    def images(self) -> Folder:
        """The folder, looked through; the example, made if need be, where none is given."""
        return adopt(self.folder or example_folder(self.example, self.root), self.root)

    def specs(self) -> list[StudySpec]:
        """One spec a seed; none when only what is recorded is asked for, which needs no folder."""
        if self.recorded:
            return []
        self._spec(ANY_FOLDER)  # what is wrong with every folder is said before one is made or looked through
        spec = self._spec(self.images())
        return [spec.with_(seed=seed) for seed in self.seeds]

    def bases(self) -> list[StudySpec]:
        """The control of every seed, which begins where the base does: a gain that it has too is not the mixture's."""
        return [equal_training(spec) for spec in self.specs()] if self.control else []

    def _spec(self, folder: Folder) -> StudySpec:
        """Of the recipe's values, with those that were given in their place."""
        if folder.num_train < FEWEST * self.num_experts:
            raise SpecError(
                f"num_experts: {self.num_experts} experts need {FEWEST * self.num_experts} training images at the "
                f"least, and {folder.name} has {folder.num_train}; ask for fewer experts"
            )
        recipe = RECIPES[self.recipe]
        given = self.model_dump(include=set(recipe), exclude_none=True)
        # torchvision's networks have no other width, and nobody has trained tr-networks on ImageNet
        is_tr = given.get("backbone", recipe["backbone"]) in BLOCKS_PER_STAGE
        values = recipe | ({"pretrained": False} if is_tr else {"width": 1.0}) | given
        share = int(folder.num_train * (1 + self.gamma * (self.num_experts - 1)) / self.num_experts)
        for name, images in (("epochs", folder.num_train), ("expert_epochs", share)):
            enough = math.ceil(FEWEST_STEPS[name] / num_steps(images, values["batch_size"]))
            values[name] = given.get(name, max(values[name], enough))
        pad = max(min(values["image_size"] // 8, 16), 1)
        common = {name: values[name] for name in ("batch_size", "learning_rate", "weight_decay")}
        common |= {"schedule": "one-cycle", "nesterov": True}
        common["augmentation"] = {"crop": values["crop"], "flip": values["flip"], "min_area": 0.25, "pad": pad}
        common["source"] = f"ours: {NAME}'s usual values for {self.recipe} images; nothing was tuned"
        return validated(StudySpec, {
            "dataset": "folder", "folder": folder, "image_size": values["image_size"], "base": values["backbone"],
            "expert": self.expert or values["backbone"], "width": values["width"],
            "start": "imagenet" if values["pretrained"] else "scratch", "num_experts": self.num_experts,
            "gamma": self.gamma, "base_recipe": {**common, "epochs": values["epochs"]},
            "expert_recipe": {**common, "epochs": values["expert_epochs"]},
            "gate_recipe": GATE.model_copy(update={"epochs": 20, "batch_size": 64}), "ensembler_recipe": STACKING,
        })  # fmt: skip


def run(parameters: Parameters) -> StudyResult:
    """Train what is not in the store, choose thresholds, and write the record to ``<root>/results``: of the mixtures
    alone where the time is up before their controls are trained.
    """
    study = open_study(parameters)
    specs = [spec for spec in study.specs if spec.role == "base"]
    sweep = Table(columns=["seed", "tau", "macs", "top1", "top1_on_validation", "exits", "experts"], rows=[])
    simple = baselines(specs[0], parameters.root)
    cost = specs[0].cost
    costs = [cost_row(cost.without_experts()), cost_row(cost)]

    def of_mixture(spec: StudySpec) -> Iterator[Measurement]:
        outputs = study.run(spec)
        yield from (measured(spec, method, top1, num_experts=0) for method, top1 in simple.items())
        yield from _measure(spec, outputs, study, parameters.slack)
        sweep.rows.extend(_sweep(spec, outputs))

    def of_control(spec: StudySpec) -> Iterator[Measurement]:
        mixture = answers(study.run(spec)).right[:, 1]
        logits, labels = study.base_outputs(equal_training(spec))
        control, test = logits.argmax(-1) == labels, held_parts(spec)[1]
        yield measured(spec, EQUAL_TRAINING, percent(control[test]))
        yield measured(spec, EQUAL_TRAINING, percent((control != mixture)[test]), "discordant")

    ways = (of_mixture, of_control) if parameters.control else (of_mixture,)
    parts = (measure(spec) for spec in specs for measure in ways)
    return seed_by_seed(
        parts, lambda measurements: record(NAME, parameters, study, measurements, costs, {"sweep": sweep})
    )


def baselines(spec: StudySpec, root: Path) -> dict[str, float]:
    """Test accuracy in percent of chance, the most frequent training class, and nearest neighbours on small pixels."""
    from sklearn.dummy import DummyClassifier
    from sklearn.neighbors import KNeighborsClassifier

    assert spec.folder is not None
    train, rest = (decode(index_folder(spec.folder, split, root), PIXELS) for split in SPLITS)
    test = rest.select(held_parts(spec)[1].numpy())
    (x, y), (new_x, new_y) = ((part.images.reshape(len(part), -1), part.labels) for part in (train, test))
    learners = {"majority": DummyClassifier(strategy="most_frequent"), "neighbours": KNeighborsClassifier(NEIGHBOURS)}
    scores = {name: 100 * float(learner.fit(x, y).score(new_x, new_y)) for name, learner in learners.items()}
    return {"chance": 100 / spec.num_classes, **scores}


def _measure(spec: StudySpec, outputs: Outputs, study: Study, slack: float) -> Iterator[Measurement]:
    right = answers(outputs).right[held_parts(spec)[1]]
    yield measured(spec, "backbone", percent(right[:, 0]), num_experts=0)
    yield measured(spec, "bagging", percent(right[:, 1]))
    yield measured(spec, "bagging", percent(right[:, 0] != right[:, 1]), "discordant")
    for chosen in choices(spec, outputs, slack):
        method = f"anytime-{chosen.rule}"
        numbers = {"top1": chosen.top1, "macs_millions": chosen.macs / 1e6, "exits": chosen.exits}
        yield from measures(spec, method, {**numbers, "experts": chosen.experts})
        if chosen.tau is not None:  # not rounded: it may be 1e-6
            yield measured(spec, method, 0.0, "tau").model_copy(update={"value": chosen.tau})
    yield from measures(spec, "gate", study.gate_metrics(spec))


def _sweep(spec: StudySpec, outputs: Outputs) -> Iterator[list[str | int | float | None]]:
    ways, points = ways_of(spec, outputs)
    for i, tau in enumerate(THRESHOLDS):
        used = ways[i][held_parts(spec)[1]].double()
        top1 = [round(float(points.top1[part, i]), 3) for part in (1, 0)]
        macs = round(float(points.macs[1, i]))
        yield [spec.seed, tau, macs, *top1, round(percent(used == 0), 3), round(float(used.mean()), 4)]


RULES = {
    "anytime-no-loss": "any-time, the cheapest with little loss",
    "anytime-same-cost": "any-time, no costlier than one expert for every image",
    "anytime-best": "any-time, the best at any cost",
}
LONGER = "base alone, trained as long as base and experts together"
SIMPLE = {
    "chance": "chance",
    "majority": "always the most frequent class",
    "neighbours": f"{NEIGHBOURS} nearest neighbours on {PIXELS} × {PIXELS} pixels",
}


def tables(result: StudyResult) -> dict[str, Captioned]:
    """``main``: what needs no network, base, its control, one expert for every image, and the chosen thresholds, on
    test images.
    """
    (k,) = result.numbers_of_experts()
    macs = {cost.num_experts: f"{cost.macs / 1e6:.1f}" for cost in result.costs}
    control = means(result, [Cell(k, EQUAL_TRAINING)])[0]
    top1 = [*means(result, [*(Cell(0, name) for name in SIMPLE), Cell(0)]), "not run" if control == NONE else control]
    none = [NONE] * len(SIMPLE)

    def column(alone: str, plain: str, metric: str, decimals: int) -> list[str]:
        return [*none, alone, alone, plain, *means(result, [Cell(k, rule, metric=metric) for rule in RULES], decimals)]

    taus = [by_seed(result, Cell(k, rule, metric="tau")) for rule in RULES]
    thresholds = [", ".join(f"{tau[seed]:g}" if seed in tau else NONE for seed in result.seeds) for tau in taus]
    columns = {
        "top-1, %": [*top1, *means(result, [Cell(k), *(Cell(k, rule) for rule in RULES)])],
        "multiply-adds, millions": column(macs[0], macs[k], "macs_millions", 1),
        "exits early, %": column("100.0", "0.0", "exits", 1),
        "experts an image": column("0", "1", "experts", 2),
        "threshold τ": [*none, *[NONE] * 3, *thresholds],
    }
    folder = result.spec["folder"]
    caption = (
        f"{about(result)}, {k} experts, {folder['num_test']} test images; mean ± standard deviation over the seeds. "
        f"Thresholds were chosen on {folder['num_validation']} validation images; everything is shown on the test "
        "images, which had no part in training or choice. A dash for a threshold: one expert for every image."
    )
    labels = [*SIMPLE.values(), "base alone", LONGER, "base and one expert for every image", *RULES.values()]
    return {"main": Captioned(frame(columns, labels), caption)}


def advice(result: StudyResult) -> str:
    """How much chance makes of so few test images, whether anything beats what learns next to nothing, and what to do:
    a gain that the control has too is not the mixture's.
    """
    (k,) = result.numbers_of_experts()
    number = result.spec["folder"]["num_test"]
    trained = [summary_of(result, cell) for cell in (Cell(0), Cell(k), Cell(k, EQUAL_TRAINING))]
    ours = max(summary.mean for summary in trained if summary)
    text = f"With {number} test images, differences of up to {by_chance(ours, number):.1f} points are within chance."
    if discordant := summary_of(result, Cell(k, metric="discordant")):
        text += (
            f" Base and mixture answer the same images and part on {discordant.mean:.1f} % of them: between these two "
            f"up to {by_chance_of_pairs(discordant.mean, number):.1f} points."
        )
    simple = {label: summary.mean for name, label in SIMPLE.items() if (summary := summary_of(result, Cell(0, name)))}
    best = max(simple, key=simple.__getitem__, default=None)
    if best and ours - simple[best] <= by_chance(ours, number):
        text += (
            f" **None of this beats {best} ({simple[best]:.2f} %) by more than chance: train longer (`-p epochs`), "
            "begin at pretrained weights, or get more images, before anything is concluded.**"
        )
        return text
    return f"{text} {_what_to_do(result, k, number)}"


def _what_to_do(result: StudyResult, k: int, number: int) -> str:
    """The verdict on base and one expert for every image: against the base, and against the base trained longer."""
    base, control = Cell(0), Cell(k, EQUAL_TRAINING)
    over_base, over_longer = (_gain(result, Cell(k), less, number) for less in (base, control))
    assert over_base, "every seed of a record has base and mixture"
    (more, chance), gained = over_base, over_base[0] > over_base[1]
    gains = f"Base and one expert for every image come to {signed(more)} points against the base (chance: {chance:.1f})"
    longer, seeds = "against the base trained as long as base and experts together", ""
    if over_longer is None:
        gains += f"; {longer}: not run (`-p control True`)"
        do = "train the control, as a gain that it has too is not the mixture's" if gained else "leave it"
    else:
        left, chance = over_longer
        gains += f", and to {signed(left)} {longer} (chance: {chance:.1f})"
        do = "train the base longer instead" if gained or left < -chance else "leave it"
        if gained and left > chance:
            do = "use it: longer training alone does not gain as much"
            few = len(by_seed(result, Cell(k, EQUAL_TRAINING))) < SEEDS
            seeds = f" In fewer than {SEEDS} seeds it is an anecdote: add `-p seeds 0,1,2`." if few else ""
        elif gained and left < -chance:
            do += ", which gains more"
        elif gained and (alone := _gain(result, control, base, number)) and alone[0] > alone[1]:
            do += ", which gains as much within chance: a gain that the control has too is not the mixture's"
        elif gained:
            do = "add seeds or test images: whether longer training alone gains as much is undecided"
    return f"**What to do: {do}.** {gains}.{seeds}"


def _gain(result: StudyResult, more: Cell, less: Cell, number: int) -> tuple[float, float] | None:
    """Points above, and how many chance makes; two models part at most where either parts from the mixture."""
    gain = difference(result, more, less, paired=more.method != EQUAL_TRAINING and not less.num_experts)  # one base
    if gain is None:
        return None
    others = [replace(cell, num_experts=more.num_experts) for cell in (more, less) if cell != Cell(more.num_experts)]
    parting = [summary_of(result, replace(cell, metric="discordant")) for cell in others]
    both = [*by_seed(result, more).values(), *by_seed(result, less).values()]
    apart = min(sum(summary.mean for summary in parting if summary), 100.0)
    points = by_chance_of_pairs(apart, number) if all(parting) else by_chance(math.fsum(both) / len(both), number)
    of_seeds = gain.mean - gain.interval[0] if gain.interval and gain.n >= SEEDS else 0.0
    return gain.mean, max(points, of_seeds)


def figures(results: Sequence[StudyResult]) -> dict[str, Figure]:
    """``main``: accuracy over multiply-adds, a panel a result."""
    return {"main": panels(results, _panel, height=3.6)[0]}


def _panel(axes: Axes, result: StudyResult) -> None:
    (k,) = result.numbers_of_experts()
    draw(axes, in_millions(each_seed(result.tables["sweep"], "macs", "top1")), COLOURS["bagging"], "any-time, over τ")
    costs = {cost.num_experts: cost.macs / 1e6 for cost in result.costs}
    marks = ((Cell(0), 0, "backbone"), (Cell(k, EQUAL_TRAINING), 0, EQUAL_TRAINING), (Cell(k), k, "expert"))
    names = {**NAMES, "expert": "one expert for every image"}
    for cell, count, way in marks:
        if each := by_seed(result, cell).values():
            top1 = sum(each) / len(each)
            axes.plot(costs[count], top1, MARKERS[way], color=COLOURS[way], label=names[way], zorder=3)
    axes.set(xlabel="multiply-adds an image, millions", ylabel="top-1 on the test images, %")
    axes.set_title(f"{result.dataset}, {k} experts")
    axes.legend(frameon=False, loc="lower right")


def export(parameters: Parameters) -> Path | None:
    """Export the model of the first seed below the root; None where only what is recorded is shown."""
    if parameters.recorded:
        return None
    return export_asked(NAME, parameters.model_copy(update={"seeds": parameters.seeds[:1]}))


def show_use(parameters: Parameters, folder: Path | None, tau: float = 0.1) -> Any:
    """What the exported model says of a few test images, each read as a user would read a picture."""
    from IPython.display import HTML, Markdown  # a notebook's alone: the exhibit is also run where there is none

    if folder is None:
        return Markdown("Nothing is exported where only recorded results are shown.")
    images = parameters.images()
    index = index_folder(images, "test", parameters.root)
    rows = range(images.num_validation, len(index), max(images.num_test // 4, 1))[:4]
    model = load(folder)
    predictions = {}
    for row in rows:
        prediction = predict(model, model.prepare(Image.open(index.paths[row])), tau)
        predictions["/".join(Path(index.paths[row]).parts[-2:])] = {
            "class": index.class_names[index.labels[row]],
            "it says": model.names(prediction.scores)[0],
            "experts that ran": str(int(prediction.experts_used)),
        }
    return HTML(Captioned(frame_of_rows(predictions), f"Some test images, at threshold {tau:g}").in_page())


EXHIBIT = Exhibit(NAME, "Your own images", Parameters, run, tables, figures=figures, advice=advice)
