"""Exports of what the store holds: the model to the last bit, a card whose numbers are worked out, clear refusals."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from jinja2 import UndefinedError

from repro.analysis.ensemblers import bagging
from repro.analysis.outputs import accuracy
from repro.cli import main
from repro.errors import ReproError, StoreError
from repro.exhibits.own_data import Parameters as OwnDataParameters
from repro.exhibits.own_data import run as own_data
from repro.exhibits.table2_num_experts import Parameters
from repro.families.single_gate.config import StudySpec
from repro.families.single_gate.export import Config, load, read_config
from repro.families.single_gate.predict import predict
from repro.families.single_gate.steps import steps
from repro.families.single_gate.study import Study
from repro.report.model_card import TAUS, export, export_asked, model_card

TINY = {"width": "0.0625", "num_experts": "2", "epochs": "2", "expert_epochs": "1", "batch_size": "16"}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, tiny: StudySpec) -> Study:
    """A trained one, of the embedded set."""
    study = Study([tiny], tmp_path_factory.mktemp("root"), torch.device("cpu"))
    study.run(tiny)
    return study


def numbers(card: str) -> list[list[float]]:
    """The rows of a card's tables, without their labels."""
    rows = [line.strip("| ").split("|")[1:] for line in card.splitlines() if line.startswith("|")]
    return [[float(cell) for cell in row] for row in rows if re.fullmatch(r"[\d. ]+", row[0])]


def test_it_is_the_studys_model(study: Study, tiny: StudySpec, tmp_path: Path) -> None:
    """Its weights to the last bit, its answers to rounding: a product may depend on where in memory weights lie."""
    model = load(export(study, tiny, tmp_path / "moe"))
    moe = study.moe(tiny)
    weights, theirs = model.state_dict(), moe.state_dict()
    assert weights.keys() == theirs.keys() and all(torch.equal(weights[name], theirs[name]) for name in theirs)
    images = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model(images), moe(images))
    torch.testing.assert_close(predict(model, images, 0.1).scores, predict(moe, images, 0.1).scores)
    assert model.config.classes[3] == "class 03" and model.config.std == (0.25, 0.25, 0.25)


def test_the_cards_numbers_are_worked_out(study: Study, tiny: StudySpec, tmp_path: Path) -> None:
    folder = export(study, tiny, tmp_path / "moe", "repro run it")
    card, test = (folder / "README.md").read_text(), read_config(folder).about["test"]
    outputs, cost = study.outputs(tiny), study.cost(tiny)
    base, plain = (accuracy(scores, outputs.labels) for scores in (outputs.base_logits, bagging(outputs)))
    assert (test["base_top1"], test["one_expert_top1"]) == (round(base, 2), round(plain, 2))
    table = numbers(card)
    assert table[0] == [round(base, 2), 100.0, round(cost.base_macs / 1e6, 1)]
    assert table[1] == [round(plain, 2), 0.0, round(cost.macs / 1e6, 1)]
    assert [point["tau"] for point in test["anytime"]] == list(TAUS) and len(table) == 2 + len(TAUS)
    assert table[-1] == [round(base, 2), 100.0, round((cost.base_macs + cost.gate_macs) / 1e6, 1)]
    made = study.runner.about(steps(tiny).predictions)["made"]
    for words in (
        made["hardware"],
        made["code"],
        "`repro run it`",
        "part of this project, under its licence",
        "seed 0",
    ):
        assert words in card
    assert "Thresholds to begin with" not in card and str(study.root) not in card


def test_a_number_that_is_missing_is_an_error_and_names_of_classes_are_text(
    study: Study, tiny: StudySpec, tmp_path: Path
) -> None:
    config = read_config(export(study, tiny, tmp_path / "moe"))
    about = {**config.about, "test": {k: v for k, v in config.about["test"].items() if k != "images"}}
    with pytest.raises(UndefinedError, match="images"):
        model_card(Config(**{**config.model_dump(), "about": about}))
    card = model_card(config.model_copy(update={"classes": ("<b>", *config.classes[1:])}))
    assert "<b>" not in card and "Classes: &lt;b&gt;, class 01" in card


def test_of_a_folder_the_card_shows_the_test_part_and_what_was_chosen(
    picture_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"folder": str(picture_folder), "root": str(tmp_path / "root"), **TINY}
    result = own_data(OwnDataParameters.check(**asked))
    out = tmp_path / "moe"
    arguments = [word for name, value in asked.items() for word in ("-p", name, value)]
    assert main(["export", "own_data", *arguments, "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    config, card = read_config(out), (out / "README.md").read_text()
    about = config.about
    assert about["test"]["images"] == 15 and config.classes == ("apple", "leaf", "sky")
    assert [about["test"]["base_top1"]] == [round(v, 2) for v in result.values("top1", "backbone", 0)]
    for chosen in about["chosen"]:
        (value,) = result.values("top1", f"anytime-{chosen['rule']}", 2)
        assert value == pytest.approx(chosen["top1"], abs=1e-4)
    assert "Chosen on 15 validation images" in card and about["data"]["digest"] in card
    assert str(tmp_path) not in card + (out / "config.json").read_text()


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
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(StoreError, match="no exported model"):
        export(study, tiny, tmp_path / "full")
