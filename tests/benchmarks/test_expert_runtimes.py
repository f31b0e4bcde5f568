"""Every form that is timed gives the eager networks' answers, to the images that they belong to."""

import pytest
import torch

from benchmarks.expert_runtimes import RUNTIMES, forms


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of vmap, which is what is timed
def test_all_forms_give_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.expert_runtimes.bf16_is_fast", lambda where: False)
    images, number = torch.randn(12, 3, 16, 16), 3
    loads = [1, 0, 5]
    order = torch.tensor([7, 3, 11, 0, 4, 9])
    found = {name: form for name, form in forms(0.0625, 16, number, 1) if name != "compiled"}  # seconds to compile
    eager = found["eager"]
    features = eager.trunk(images)
    expected, chosen = eager.head(features), torch.repeat_interleave(torch.arange(number), torch.tensor(loads))
    for image, expert in zip(order.tolist(), chosen.tolist(), strict=True):
        alone = [int(k == expert) for k in range(number)]
        expected[image] += eager.experts(features[image : image + 1], alone)[0]
    assert {"eager", "experts stacked"} <= found.keys() <= {"eager", "experts stacked", *RUNTIMES}
    for name, form in found.items():
        near = 1e-2 if name == "OpenVINO" else 1e-5  # in bf16, which it takes by itself
        torch.testing.assert_close(form.exits(images, order, loads), expected, atol=near, rtol=0.0)
        torch.testing.assert_close(form.dense(images, number), eager.dense(images, number), atol=near, rtol=0.0)
