"""Exports of what the store holds: the model to the last bit, a card whose numbers are worked out, clear refusals."""

import re
from pathlib import Path

import pytest
import torch
from jinja2 import UndefinedError

from repro.analysis.anytime import answers
from repro.analysis.ensemblers import bagging
from repro.analysis.outputs import accuracy, percent
from repro.data.augment import Augmentation
from repro.errors import ReproError
from repro.exhibits.table2_num_experts import Parameters
from repro.families.single_gate import onnx_form
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.export import Config, load, read_config
from repro.families.single_gate.predict import predict
from repro.families.single_gate.steps import steps
from repro.families.single_gate.study import Study
from repro.report.model_card import TAUS, export, export_asked, model_card, spread


def numbers(card: str) -> list[list[float]]:
    """The rows of a card's tables, without their labels."""
    rows = [line.strip("| ").split("|")[1:] for line in card.splitlines() if line.startswith("|")]
    return [[float(cell) for cell in row] for row in rows if re.fullmatch(r"[\d. ]+", row[0])]


def test_it_is_the_studys_model_with_a_card_whose_numbers_are_worked_out(
    study: Study, tiny: StudySpec, tmp_path: Path
) -> None:
    folder = export(study, tiny, tmp_path / "moe", "repro run it")
    model = load(folder)
    weights, theirs = model.state_dict(), study.moe(tiny).state_dict()
    assert weights.keys() == theirs.keys() and all(torch.equal(weights[name], theirs[name]) for name in theirs)
    assert model.config.classes[3] == "class 03" and model.config.std == (0.25, 0.25, 0.25)
    config, card = read_config(folder), (folder / "README.md").read_text()
    test, outputs, cost = config.about["test"], study.outputs(tiny), tiny.cost
    base, plain = (accuracy(scores, outputs.labels) for scores in (outputs.base_logits, bagging(outputs)))
    assert (test["base_top1"], test["one_expert_top1"]) == (round(base, 2), round(plain, 2))
    table = numbers(card)
    assert table[0] == [round(base, 2), 100.0, round(cost.base_macs / 1e6, 1)]
    assert table[1] == [round(plain, 2), 0.0, round(cost.macs / 1e6, 1)]
    assert [point["tau"] for point in test["anytime"]] == list(TAUS) and len(table) == 2 + len(TAUS)
    assert table[-1] == [round(base, 2), 100.0, round((cost.base_macs + cost.gate_macs) / 1e6, 1)]
    made = study.runner.about(steps(tiny).predictions)["made"]
    facts = (made["hardware"], made["code"], "`repro run it`", "part of this project, under its licence", "seed 0")
    assert all(fact in card for fact in facts)
    assert "Thresholds to begin with" not in card and str(study.root) not in card

    about = {**config.about, "test": {k: v for k, v in test.items() if k != "images"}}
    with pytest.raises(UndefinedError, match="images"):
        model_card(Config(**{**config.model_dump(), "about": about}))
    card = model_card(config.model_copy(update={"classes": ("<b>", *config.classes[1:])}))
    assert "<b>" not in card and "Classes: &lt;b&gt;, class 01" in card, "names of classes are text"


def test_graphs_in_int8_have_accuracies_of_their_own(study: Study, tiny: StudySpec, tmp_path: Path) -> None:
    folder = export(study, tiny, tmp_path / "moe", onnx="int8")
    model, source = onnx_form.load(folder), study.sources.batches(tiny, "evaluation", Augmentation())
    own = answers(model.outputs(source))
    at_tau = percent(
        torch.cat([predict(model, batch.images, 0.1).scores for batch in source.clean(64)]).argmax(1) == source.labels
    )
    table = numbers((folder / "README.md").read_text())
    theirs, ours = table[: 2 + len(TAUS)], table[2 + len(TAUS) :]
    assert [row[-1] for row in ours[:2]] == [row[-1] for row in theirs[:2]] and len(ours) == len(theirs)
    assert [row[0] for row in ours[:2]] == [round(percent(own.right[:, i]), 2) for i in (0, 1)]
    assert ours[2 + TAUS.index(0.1)][0] == round(at_tau, 2)
    assert "graphs in int8" in (folder / "README.md").read_text()


def test_ranges_come_from_all_over_a_training_set() -> None:
    assert spread(500, 5).nonzero().flatten().tolist() == [0, 124, 249, 374, 499]
    assert spread(3, 256).all()


def test_what_is_not_trained_or_not_one_model_is_said(study: Study, tiny: StudySpec, tmp_path: Path) -> None:
    with pytest.raises(
        ReproError, match=r"base tr10 on modes, seed 7 \(and 5 more\) is not in .*`repro run it` trains"
    ):
        export(study, tiny.with_(seed=7), tmp_path / "moe", "repro run it")
    asked = {"scale": "smoke", "root": str(tmp_path)}
    with pytest.raises(ReproError, match=r"is 4 models \(tr10-tr10, 1 experts, seed 0; .*narrow it to one"):
        export_asked("table2_num_experts", Parameters.check(**asked))
    with pytest.raises(ReproError, match="trains it"):
        export_asked("table2_num_experts", Parameters.check(**asked, experts="3"), tmp_path / "moe")
