"""Devices: the tests of a GPU run here on the same functions, and are skipped, with a reason, where there is none."""

import pytest
import torch


@pytest.fixture(params=["cpu", "cuda"])
def any_device(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no GPU here")
    return torch.device(request.param)
