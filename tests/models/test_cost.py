"""Costs of pairs: Table 3's on ImageNet, and rules; that all 48 of Table 1 come out is a count of test_left_out."""

import pytest

from repro.models.cost import model_cost


def test_the_plain_sum_of_inference_parameters_is_one_fc_more() -> None:
    cost = model_cost("tr18", "tr18", 100, 32, 20)
    assert cost.params_inference - cost.params_inference_paper == 512 * 100 + 100


def test_a_mixture_of_table_3() -> None:
    """What the base networks cost is a table of the exhibit."""
    cost = model_cost("resnet18", "resnet18", 1000, 224, 4)
    assert cost.macs == pytest.approx(2.6367e9, rel=1e-4) and cost.expert_params == 11_006_440


def test_one_expert_needs_no_gate() -> None:
    cost = model_cost("tr10", "tr10", 100, 32, 1)
    assert (cost.gate_macs, cost.gate_params) == (0, 0)
    assert cost.without_experts() == model_cost("tr10", None, 100, 32, 1)


def test_width_scales_all_channels() -> None:
    full, quarter = model_cost("tr10", "tr10", 100, 32, 20), model_cost("tr10", "tr10", 100, 32, 20, width=0.25)
    assert quarter.base_macs == pytest.approx(full.base_macs / 16, rel=0.03)
