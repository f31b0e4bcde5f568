"""The same trunk, base head and experts in every form that ``expert_runtimes.py`` times, as functions of a batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn.utils.rnn import pad_sequence

from benchmarks.timing import CPU
from repro.families.single_gate.onnx_form import Session, graph, in_int8, written
from repro.models.inference import for_inference
from repro.models.registry import build_backbone, build_head
from repro.training.device import bf16_is_fast

INT8 = "ONNX Runtime, int8"
Call = Callable[[Tensor], Tensor]


@dataclass
class Form:
    """Trunk, base head and experts as functions of a batch ``[n, ...]`` of any size.

    ``experts`` answer features sorted by expert, ``[N, ...]``, with so many images each.
    """

    trunk: Call
    head: Call
    experts: Callable[[Tensor, list[int]], Tensor]

    def exits(self, images: Tensor, order_n: Tensor, loads_E: list[int]) -> Tensor:
        """The base's answers ``[N, C]``, and an expert's beside them of the images ``order_n`` that go on."""
        features = self.trunk(images)
        logits = self.head(features).float()
        logits[order_n] += self.experts(features[order_n], loads_E)
        return logits

    def dense(self, images: Tensor, number: int) -> Tensor:
        """Every expert's answers of every image, ``[E x N, C]``."""
        features = self.trunk(images)
        self.head(features)
        return self.experts(features.repeat(number, 1, 1, 1), [len(images)] * number)


def one_by_one(experts: Sequence[Call]) -> Callable[[Tensor, list[int]], Tensor]:
    """Each expert called on its own images."""

    def answers(features: Tensor, loads_E: list[int]) -> Tensor:
        parts = zip(experts, features.split(loads_E), strict=True)
        return torch.cat([expert(part).float() for expert, part in parts if len(part)])

    return answers


def stacked(experts: Sequence[nn.Module]) -> Callable[[Tensor, list[int]], Tensor]:
    """All experts in one call of grouped convolutions, each filled up to the largest load."""
    state = stack_module_state(list(experts))
    every = torch.vmap(lambda weights, x: functional_call(experts[0], weights, (x,)))

    def answers(features: Tensor, loads_E: list[int]) -> Tensor:
        filled = pad_sequence(list(features.split(loads_E)), batch_first=True)
        logits = every({**state[0], **state[1]}, filled)
        return torch.cat([each[:load].float() for each, load in zip(logits, loads_E, strict=True)])

    return answers


def openvino(module: nn.Module, example: Tensor, number_threads: int) -> Call:
    import openvino as ov  # type: ignore[import-not-found]

    model = ov.convert_model(module, example_input=example, input=[(-1, *example.shape[1:])])
    options = {"INFERENCE_NUM_THREADS": number_threads, "PERFORMANCE_HINT": "LATENCY"}
    ready = ov.Core().compile_model(model, "CPU", options)  # in bf16 where that is fast, by itself
    return lambda x: torch.from_numpy(ready([x.contiguous().numpy()])[0])


def onnx_runtime(module: nn.Module, example: Tensor, number_threads: int) -> Call:
    return Session(written(graph(module, example[:2], "out")))


def onnx_runtime_int8(module: nn.Module, example: Tensor, number_threads: int) -> Call:
    return Session(in_int8(written(graph(module, example[:2], "out")), example.split(64)))


RUNTIMES = {"ONNX Runtime": onnx_runtime, INT8: onnx_runtime_int8, "OpenVINO": openvino}


def forms(width: float, pixels: int, number: int, number_threads: int) -> Iterator[tuple[str, Form]]:
    """Each form of the same untrained networks, by name."""
    torch.manual_seed(0)
    base = build_backbone("tr10", 100, width).eval()
    heads = [build_head("tr10", 100, width).eval() for _ in range(number)]
    bf16 = bf16_is_fast(CPU)
    fast, experts = for_inference(base, CPU, bf16), [for_inference(head, CPU, bf16) for head in heads]
    eager = Form(fast.trunk, fast.head, one_by_one(experts))
    yield "eager", eager
    # The weights are arguments, so that experts share what is compiled.
    skeleton = copy.deepcopy(experts[0])
    one = torch.compile(lambda weights, x: functional_call(skeleton, weights, (x,)), dynamic=True)
    weights = [{**dict(expert.named_parameters()), **dict(expert.named_buffers())} for expert in experts]
    shared = (torch.compile(part, dynamic=True) for part in (fast.trunk, fast.head))
    yield "compiled", Form(next(shared), next(shared), one_by_one([partial(one, each) for each in weights]))
    yield "experts stacked", replace(eager, experts=stacked(experts))
    base, heads = for_inference(base, CPU, bf16=False), [for_inference(head, CPU, bf16=False) for head in heads]
    images = torch.randn(256, 3, pixels, pixels)
    features = base.trunk(images).contiguous()
    for name, make in RUNTIMES.items():
        if name != "OpenVINO" or find_spec("openvino"):
            trunk = make(base.trunk, images, number_threads)
            head, *calls = (make(part, features, number_threads) for part in (base.head, *heads))
            yield name, Form(trunk, head, one_by_one(calls))
