"""DeepMoE's printed costs against counts: what comes out, what does not, and claims that can fail."""

from pathlib import Path

import pytest
from torchvision.models import ResNet18_Weights, ResNet34_Weights

from repro.exhibits.deepmoe_costs import EXHIBIT, HALF, counted, run
from repro.exhibits.deepmoe_costs.counted import at, dense, gated, narrow, share_for
from repro.exhibits.deepmoe_table2_cifar import Parameters
from repro.report.numbers import NONE
from repro.report.tables import claims_table
from repro.report.verdict import Verdict
from repro.study.parameters import Counted
from tests.exhibits.test_every_exhibit import show
from tests.records import judged


def test_tables_come_out_without_shortcuts_and_not_with_them() -> None:
    """ThiNet's row of Table 3 is off by a digit: 55.75 % would give what is printed. Table 5 is near."""
    figures = counted.widenings()  # Table 4
    assert len(figures) == 8 and all(figure.matches for figure in figures)
    assert dense("resnet50", 1000, 224, 224).macs == 4_089_184_256
    assert [figure.matches for figure in counted.reductions(shortcuts=False)] == [True, True, True, False, True]
    assert not any(figure.matches for figure in counted.reductions(shortcuts=True))
    for figure in counted.segmentation():
        assert figure.exact == pytest.approx(figure.paper.value, rel=5e-3) and not figure.matches
    with_shortcuts = counted.segmentation()[0].exact + dense("drn50-A", 19, 1024, 2048).shortcuts
    assert with_shortcuts != pytest.approx(703e9, rel=0.03)


def test_table_1s_narrow_networks_cost_what_is_known_of_them() -> None:
    """ResNet-18 by hand: 1.814 G; both as torchvision publishes them, in giga."""
    side, by_hand = 56, 112.0**2 * 49 * 3 * 64 + 4 * 56**2 * 9 * 64**2
    for channels in (128, 256, 512):
        side //= 2
        by_hand += side**2 * channels**2 * (9 + 6 * 9 + 1) // 2  # the first convolution and the shortcut read half
    assert narrow("resnet18") == by_hand + 512 * 1000 == 1_814_073_344
    for name, weights in (("resnet18", ResNet18_Weights), ("resnet34", ResNet34_Weights)):
        assert narrow(name) / 1e9 == pytest.approx(weights.IMAGENET1K_V1.meta["_ops"], abs=5e-4)


def test_an_active_share_costs_what_it_was_asked_for() -> None:
    wide = gated("resnet18")
    share = share_for(wide, narrow("resnet18"))
    assert share and at(wide, share) == pytest.approx(narrow("resnet18"), rel=1e-6)
    assert share_for(wide, 2 * wide.dense_macs) is None
    assert share_for(gated("vgg16"), narrow("vgg16") + gated("vgg16").gating_macs) == pytest.approx(0.5, abs=1e-6)
    # W13-All by hand: p is little above the square root of 2.29 / 8.15, as ends of the chain are dense.
    shares = {one.what: counted.active_share(one) for one in counted.implied()}
    assert shares["Table 4: W13-All"] == pytest.approx((2.29 / 8.15) ** 0.5, abs=0.002)
    assert len(shares) == 8 and all(share and 0 < share < 1 for share in shares.values())


def test_the_record_holds_counts_which_are_judged_without_seeds(tmp_path: Path) -> None:
    result = run(Counted.check(scale="smoke", root=tmp_path))
    assert (result.name, result.seeds) == ("deepmoe_costs-none-exact", [0])
    verdicts = {key: one.verdict for key, one in judged(EXHIBIT, result).items()}
    holds = {"DC1", "DC3/resnet50-A", "DC6"}
    assert {key: Verdict.HOLDS if key in holds else Verdict.OPPOSITE for key in verdicts} == verdicts
    assert holds < {*verdicts} and len(verdicts) == 6 + len(HALF)
    ours = claims_table(EXHIBIT.judge(result)).ours
    assert ours["DC3/resnet18"] == "146.11 (bar: below 105)", "2.65 G of 1.81 G, by hand above"
    assert ours["DC6"] == "100.40 (bar: 95.24 to 105)" and ours["DC1"] == "100.00 (bar: above 99.5)"
    tables = EXHIBIT.tables(result)
    assert "13 of 21" in tables["dense"].caption
    show("deepmoe_costs")


def test_every_command_of_an_accuracy_can_be_run() -> None:
    commands = EXHIBIT.exact()["accuracies"].frame["the command"]
    given = [command.split()[5:] for command in commands if command != NONE]
    assert len(given) == 12, "all but those of Cityscapes"
    for options in given:
        parameters = Parameters.check(**{options[i + 1]: options[i + 2] for i in range(0, len(options), 3)})
        asked = parameters.deepmoe(parameters.narrow_networks()[0], 2.0)
        vgg = asked.model.backbone.startswith("vgg")
        assert asked.recipe.learning_rate == (0.01 if vgg else 0.1)
        assert asked.model.gated == ("widened" if vgg else "all"), "Table 4's are gated where they are wider"
