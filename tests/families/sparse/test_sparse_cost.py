"""What a network costs: equal active multiply-adds, and the share that is routed. Printed costs: test_sparse_costs."""

import pytest

from repro.families.sparse.config import SparseConfig
from repro.families.sparse.cost import SparseCost, sparse_cost


def cost(network: str = "convnext-t", **changes: object) -> SparseCost:
    fields = {"network": network, "num_classes": 1000, "image_size": 224, **changes}
    return sparse_cost(SparseConfig.model_validate(fields))


@pytest.mark.parametrize("network", ["convnext-micro", "vit-micro", "convnext-s-iso"])
def test_equal_active_macs_at_the_dense_hidden_ratio(network: str) -> None:
    """At k = 1, and at k = 2 with half the ratio, a network costs what the dense one does and its gates."""
    dense = cost(network, image_size=32, placement="none").macs
    for top_k in (1, 2):
        eight, four = (
            cost(network, image_size=32, top_k=top_k, hidden_ratio=4 / top_k, num_experts=number).macs - dense
            for number in (8, 4)
        )
        assert 0 < eight < 0.02 * dense and 2 * four == eight, "what is more is the gates' D x E a token"


def test_the_routed_share_is_recorded() -> None:
    assert cost(placement="none").routed_share == 0
    assert cost().routed_share == pytest.approx(2 * 0.2312e9 / cost().macs, rel=0.01)
    assert cost("vit-s", placement="every-2", top_k=2).routed_share == pytest.approx(0.47, abs=0.01)
