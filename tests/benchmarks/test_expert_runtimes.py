"""Every form that is timed gives the eager networks' answers, to the images that they belong to."""

import pytest
import torch

from benchmarks.anytime_wallclock import asked
from benchmarks.expert_forms import INT8, RUNTIMES, forms
from benchmarks.expert_runtimes import as_exported


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of vmap, which is what is timed
def test_all_forms_give_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.expert_forms.bf16_is_fast", lambda where: False)
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
    every = {"eager", "experts stacked", *RUNTIMES}
    assert every - {"OpenVINO"} <= found.keys() <= every
    for name, form in found.items():
        near = {"OpenVINO": 1e-2, INT8: 5e-2}.get(name, 1e-5)  # OpenVINO takes bf16 by itself
        torch.testing.assert_close(form.exits(images, order, loads), expected, atol=near, rtol=0.0)
        torch.testing.assert_close(form.dense(images, number), eager.dense(images, number), atol=near, rtol=0.0)


@torch.no_grad()
def test_what_is_exported_gives_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.expert_runtimes.bf16_is_fast", lambda where: False)
    monkeypatch.setattr("repro.training.device.bf16_is_fast", lambda where: False)
    networks, images = as_exported(asked(quick=True))
    for each in networks.values():
        answers = {name: call(images[:5]) for name, call in each.items()}
        torch.testing.assert_close(answers["ONNX Runtime"], answers["eager"], atol=1e-4, rtol=0.0)
        near = (answers[INT8] - answers["eager"]).abs().mean() / answers["eager"].abs().mean()
        assert near < 0.1
