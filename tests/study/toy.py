"""A family of models that is made in milliseconds: a base, a gate, experts in one pass, predictions."""

import json
import os
import signal
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import TimeIsUpError, TrainingError
from repro.study.artifact import Artifact
from repro.study.executors import Executor, Job
from repro.study.graph import Context, Goal, Inputs, Step
from repro.study.runner import Runner
from repro.study.sources import Sources
from repro.study.store import Store
from repro.training import fit as training
from repro.training.recipe import Recipe

CPU = torch.device("cpu")
CALLS: list[str] = []
"""The labels of what was made in this process, in order; a pass is one entry."""
EPOCHS: list[str] = []
"""An entry an epoch of an expert's training."""


def context(root: Path) -> Context:
    return Context(Store(root), Sources(root, CPU), CPU)


def goal(config: str) -> Goal:
    """The steps of a model; ``config`` holds seed, experts, fail, late and kill (labels that go wrong)."""
    asked = {"seed": 0, "experts": 3, "fail": [], "late": [], "kill": [], **json.loads(config)}
    seed, number = asked["seed"], asked["experts"]

    def noted(inputs: Sequence[Inputs]) -> None:
        labels = [each.step.label for each in inputs]
        CALLS.append(", ".join(labels))
        if wrong := [label for label in labels if label in asked["fail"]]:
            raise TrainingError(f"{wrong[0]}: the loss is not finite")
        if wrong := [label for label in labels if label in asked["late"]]:
            raise TimeIsUpError(f"{wrong[0]}: not begun")
        once = inputs[0].checkpoint.with_name("killed")
        if any(label in asked["kill"] for label in labels) and not once.exists():
            once.touch()
            os._exit(9)

    def make_base(_: Context, inputs: Inputs) -> Artifact:
        noted([inputs])
        return Artifact({"w": torch.full((2,), seed + float(os.environ.get("TOY_ROUNDING", "0")))})

    def make_gate(_: Context, inputs: Inputs) -> Artifact:
        noted([inputs])
        return Artifact({"w": inputs["base"].tensors["w"] + 1})

    def make_experts(_: Context, several: Sequence[Inputs]) -> list[Artifact]:
        noted(several)
        return [train(each) for each in several]

    def make_predictions(_: Context, inputs: Inputs) -> Artifact:
        noted([inputs])
        logits = torch.stack([expert.tensors["weight"] for expert in inputs.all("expert")])
        return Artifact({"logits": logits + inputs["gate"].tensors["w"].sum()})

    base = Step("base", {"seed": seed}, make_base, label=f"base {seed}", work=10)
    gate = Step("gate", {"experts": number}, make_gate, (base,), f"gate of {number}, {seed}", work=1)
    experts = tuple(
        Step(
            "expert", {"k": k}, make_experts, (base, gate), f"expert {k} of {number}, {seed}", 5, 3, together="experts"
        )
        for k in range(number)
    )
    last = Step("predictions", {}, make_predictions, (base, gate, *experts), f"predictions of {number}, {seed}", work=1)
    return Goal(f"toy of {number}, seed {seed}", (last,), "tests.study.toy:goal", config)


def endless(_builder: str, config: str, *_: object) -> None:
    """A job that writes which process it is in, and what that does at an interrupt, to ``config`` and never ends."""
    Path(config).write_text(f"{os.getpid()} {signal.getsignal(signal.SIGINT)!r}")
    while True:
        time.sleep(1)


class Here(Executor):
    """Does jobs in this process, losing the workers of some."""

    lost = (KeyError,)
    losing: tuple[int, ...] = ()
    count = 0
    biggest = 0

    def submit(self, job: Job) -> Future[dict[str, Any]]:
        self.count += 1
        self.biggest = max(self.biggest, len(job.keys))
        ended: Future[dict[str, Any]] = Future()
        if self.count in self.losing:
            ended.set_exception(KeyError("unplugged"))
        else:
            ended.set_result(self.work(*self.arguments(job)))
        return ended


def train(inputs: Inputs) -> Artifact:
    """An expert: three epochs of one step, on numbers that its parents are."""
    module = nn.Linear(2, 1, bias=False)
    nn.init.constant_(module.weight, float(inputs.step.config["k"]))
    x = inputs["base"].tensors["w"][None] + 0.1

    def step(batch: Tensor, done: float) -> Any:
        EPOCHS.append(inputs.step.label)
        loss = F.mse_loss(module(batch), inputs["gate"].tensors["w"][:1, None])
        return training.Step(loss, torch.zeros(()), 1)

    recipe = Recipe(epochs=3, batch_size=1, learning_rate=0.01, source="a test")
    what = training.Training(module, recipe, step, CPU, inputs.step.label, 0, inputs.checkpoint, inputs.report)
    history = training.fit(what, lambda epoch: (1, [x]))
    return Artifact(module.state_dict(), history=[list(epoch) for epoch in history])


def asked(**config: Any) -> Goal:
    return goal(json.dumps(config))


def run(root: Path, *goals: Goal, executor: str = "serial") -> Runner:
    runner = Runner(goals, context(root), executor)
    for goal in goals:
        runner.run(goal.steps)
    return runner


def predictions(runner: Runner, goal: Goal) -> Tensor:
    return runner.load(goal.steps[0]).tensors["logits"]
