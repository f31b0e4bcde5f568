"""What is timed side by side computes the same."""

import pytest
import torch

from benchmarks import token_dispatch


@pytest.mark.parametrize("top_k", [1, 2])
def test_every_way_gives_the_same_where_nothing_is_dropped(top_k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_dispatch, "CAPACITY", 8.0)
    task = token_dispatch.Task(128, 32, top_k, torch.float32, torch.device("cpu"))
    expected = task.sorted()
    for way in (task.all, task.slots, task.one_hot):
        torch.testing.assert_close(way(), expected, rtol=1e-4, atol=1e-4)
