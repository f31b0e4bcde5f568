"""What a network costs: equal active multiply-adds, and the share that is routed. Printed costs: test_sparse_costs."""

import pytest

from repro.families.sparse.config import SHAPES, SparseConfig
from repro.families.sparse.cost import SparseCost, sparse_cost


def cost(network: str = "convnext-t", **changes: object) -> SparseCost:
    fields = {"network": network, "num_classes": 1000, "image_size": 224, **changes}
    return sparse_cost(SparseConfig.model_validate(fields))


@pytest.mark.parametrize("network", list(SHAPES))
def test_equal_active_macs_at_the_dense_hidden_ratio(network: str) -> None:
    """At k = 1, and at k = 2 with half the ratio, a network costs what the dense one does and its gates."""
    size = 32
    dense = cost(network, image_size=size, placement="none")
    for top_k in (1, 2):
        sparse = cost(network, image_size=size, top_k=top_k, hidden_ratio=4 / top_k)
        gates = sparse.macs - dense.macs
        assert 0 < gates < 0.02 * dense.macs
        one = sparse_cost(SparseConfig(network=network, num_classes=1000, image_size=size, num_experts=4, top_k=top_k,
                                       hidden_ratio=4 / top_k))  # fmt: skip
        assert 2 * (one.macs - dense.macs) == gates, "what is more is the gates' D x E a token"


def test_the_routed_share_is_recorded() -> None:
    assert cost(placement="none").routed_share == 0
    assert cost().routed_share == pytest.approx(2 * 0.2312e9 / cost().macs, rel=0.01)
    assert cost("vit-s", placement="every-2", top_k=2).routed_share == pytest.approx(0.47, abs=0.01)
