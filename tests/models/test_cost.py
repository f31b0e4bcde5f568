"""Costs of pairs: Table 3's on ImageNet, and rules; that all 48 of Table 1 come out is a count of test_left_out."""

import pytest

from repro.models.cost import model_cost


def test_the_plain_sum_of_inference_parameters_is_one_fc_more() -> None:
    cost = model_cost("tr18", "tr18", 100, 32, 20)
    assert cost.params_inference - cost.params_inference_paper == 512 * 100 + 100


@pytest.mark.parametrize(
    ("name", "base", "moe"),
    [("resnet18", 1.8141e9, 2.6367e9), ("resnet34", 3.6638e9, 5.6424e9), ("mobilenet_v3_small", 5.651e7, 8.130e7)],
)
def test_imagenet_costs_of_table_3(name: str, base: float, moe: float) -> None:
    cost = model_cost(name, name, 1000, 224, 4)
    assert cost.base_macs == pytest.approx(base, rel=1e-4)
    assert cost.macs == pytest.approx(moe, rel=1e-4)


def test_resnet18_expert_parameters() -> None:
    assert model_cost("resnet18", "resnet18", 1000, 224, 4).expert_params == 11_006_440


def test_one_expert_needs_no_gate() -> None:
    cost = model_cost("tr10", "tr10", 100, 32, 1)
    assert (cost.gate_macs, cost.gate_params) == (0, 0)
    assert cost.without_experts() == model_cost("tr10", None, 100, 32, 1)


def test_width_scales_all_channels() -> None:
    full, quarter = model_cost("tr10", "tr10", 100, 32, 20), model_cost("tr10", "tr10", 100, 32, 20, width=0.25)
    assert quarter.base_macs == pytest.approx(full.base_macs / 16, rel=0.03)
