"""What a service is timed on: every image once, answered as it is among others, at the multiply-adds that are said."""

import pytest
import torch

from benchmarks import service
from benchmarks.anytime_wallclock import untrained
from repro.exhibits.three_families.bodies import Asked
from repro.families.single_gate.scales import default_spec

NUMBER = 8


@torch.no_grad()
def test_an_image_alone_is_answered_as_among_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "bf16_is_fast", lambda device: False)
    asked = Asked("smoke", default_spec("smoke", "modes").with_(num_experts=3))
    images = next(untrained(asked.spec, NUMBER)[1].clean(NUMBER)).images
    served = service.every(asked, images)
    for name, one in served.items():
        together = one.answer(slice(0, NUMBER))  # DeepMoE: as many prototypes as images, each the gates of one
        alone = torch.cat([one.answer(slice(i, i + 1)) for i in range(NUMBER)])
        torch.testing.assert_close(alone, together, rtol=1e-3, atol=1e-4, msg=name)
        assert (together - together.roll(1, 0)).abs().amax(1).min() > 1e-3, f"{name}: another image, another answer"
    cost = asked.spec.cost
    all_go_on, half = (one.macs[0] for one in list(served.values())[:2])
    assert (all_go_on, half) == (cost.macs, cost.macs - cost.expert_macs / 2)
    for name, one in served.items():
        for macs in one.macs:
            assert macs == pytest.approx(cost.macs, rel=0.2), name
            near = [one.body.cost(asked, width)[0] for width in one.body.around(asked, macs)]
            assert near[0] * 0.98 <= macs <= near[-1] * 1.02, f"{name}: beside a network of its multiply-adds"


@pytest.mark.parametrize("together", [1, NUMBER])
def test_every_image_comes_once(together: int) -> None:
    came: list[int] = []

    def answer(part: slice) -> torch.Tensor:
        came.extend(range(NUMBER)[part])
        return torch.empty(0)

    service.in_parts(answer, NUMBER, together, torch.device("cpu"))
    assert came == list(range(NUMBER))
