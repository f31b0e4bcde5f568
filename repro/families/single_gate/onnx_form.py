"""An exported mixture as ONNX graphs, in ONNX Runtime: one image takes about half of the time that it takes PyTorch.

What :func:`load` gives is used as what :func:`repro.families.single_gate.export.load` gives.
Of the folder ``onnx`` in an export, ``trunk.onnx`` takes normalised images ``[B, 3, S, S]`` to features
``[B, T, h, w]``; ``base.onnx`` these to the base's logits ``[B, C]`` and the gate's probabilities ``[B, K]``;
``expert-0.onnx`` and so on to an expert's logits ``[B, C]``. What goes in and out is float32, B is free, BatchNorm is
folded in, and the order of classes and experts is that of ``config.json``. In int8, convolutions and what lies between
them compute in 8 bits; the last layers, softmax and ``predict``, which decides which expert runs, do not.
"""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from repro.analysis.outputs import Outputs
from repro.data.batches import BatchSource
from repro.errors import ReproError, StoreError
from repro.families.single_gate.export import ONNX, Config, OfPictures, read_config
from repro.families.single_gate.model import MoEOutput, SingleGateMoE, every_expert
from repro.models.inference import for_inference
from repro.training.classifier import of_all_images

CPU = torch.device("cpu")
Precision = Literal["float32", "int8"]
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
BETWEEN = ["Conv", "Add", "AveragePool", "MaxPool"]
"""What computes in int8: convolutions, and what is between two of them, so that maps stay in 8 bits."""


class _BaseAndGate(nn.Module):
    def __init__(self, moe: SingleGateMoE) -> None:
        super().__init__()
        self.moe = moe

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        out = self.moe.base_and_gate(features)
        return out.base_logits, out.gate_probs


def graph(module: nn.Module, example: Tensor, *outputs: str) -> torch.onnx.ONNXProgram:
    """A frozen float32 network as an ONNX model of any batch size; ``example`` is a batch of two or more.

    Raises:
        ReproError: the network has an operation that cannot be translated.
    """
    module = module.to(memory_format=torch.contiguous_format)
    batch = ({0: torch.export.Dim.DYNAMIC},)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is deprecated inside the exporter
            # Not optimised here: the runtime does so, and every weight stays an input under its own name.
            program = torch.onnx.export(
                module, (example,), output_names=outputs, dynamic_shapes=batch, dynamo=True, optimize=False,
                verbose=False,
            )  # fmt: skip
    except torch.onnx.errors.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise ReproError(f"{type(module).__name__} cannot be translated to ONNX ({reason})") from error
    assert program is not None
    return program


def written(program: torch.onnx.ONNXProgram, weights: nn.Module | None = None) -> bytes:
    """The model of a program, with the weights of another network of the same shape if one is given."""
    if weights is not None:
        counts = "num_batches_tracked"  # of a BatchNorm that trains
        of = {name: each.contiguous() for name, each in weights.state_dict().items() if not name.endswith(counts)}
        if absent := of.keys() - program.model.graph.initializers.keys():
            raise ReproError(f"{min(absent)} of an expert has no place in its graph: it cannot be translated to ONNX")
        program.apply_weights(of)
    return program.model_proto.SerializeToString()


def in_int8(model: bytes, batches: Sequence[Tensor]) -> bytes:
    """A graph whose convolutions compute in 8 bits: weights a channel each, maps by their range over ``batches``."""
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.calibrate import CalibrationDataReader
    from onnxruntime.quantization.shape_inference import quant_pre_process

    (name,) = (each.name for each in onnx.load_from_string(model).graph.input)

    class Batches(CalibrationDataReader):
        def __init__(self) -> None:
            self.left: Iterator[Tensor] = iter(batches)

        def get_next(self) -> dict[str, Any] | None:
            return next(({name: batch.numpy()} for batch in self.left), None)

    with tempfile.TemporaryDirectory() as folder:
        plain, before, after = (Path(folder) / f"{name}.onnx" for name in ("plain", "before", "after"))
        plain.write_bytes(model)
        quant_pre_process(plain, before, skip_symbolic_shape=True)
        quantize_static(
            before, after, Batches(), quant_format=QuantFormat.QDQ, op_types_to_quantize=BETWEEN, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        return after.read_bytes()


@torch.no_grad()
def graphs(moe: SingleGateMoE, images: Tensor, precision: Precision = "float32") -> dict[str, bytes]:
    """Trunk, base and gate, and every expert of a mixture, by file name.

    ``images`` ``[n, 3, S, S]``, two or more, normalised, on the CPU: what is in int8 gets its ranges from them.

    Raises:
        ReproError: a network cannot be translated, or what translates is not installed.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise ReproError(f"{', '.join(missing)} not installed; `uv sync --extra onnx` installs what ONNX graphs need")
    moe = for_inference(moe, CPU, bf16=False)
    features = moe.base.trunk(images).contiguous()

    def of(model: bytes, x: Tensor) -> bytes:
        return in_int8(model, x.split(64)) if precision == "int8" else model

    files = {
        "trunk.onnx": of(written(graph(moe.base.trunk, images[:2], "features")), images),
        "base.onnx": of(written(graph(_BaseAndGate(moe), features[:2], "logits", "gate")), features),
    }
    experts = list(moe.experts)
    program = graph(experts[0], features[:2], "logits")  # experts differ by their weights alone
    return files | {f"expert-{k}.onnx": of(written(program, expert), features) for k, expert in enumerate(experts)}


class Session:
    """A graph in ONNX Runtime, on as many threads as torch has when it is made."""

    def __init__(self, model: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads would take the cores
        self._ready = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        (self._input,) = (each.name for each in self._ready.get_inputs())

    def __call__(self, x: Tensor) -> Tensor:
        """The first output of a batch."""
        return self.every(x)[0]

    def every(self, x: Tensor) -> list[Tensor]:
        """All outputs of a batch."""
        outputs: list[Any] = self._ready.run(None, {self._input: x.contiguous().numpy()})
        return [torch.from_numpy(output) for output in outputs]


class OnnxMoE(OfPictures):
    """A mixture with its ``config`` whose networks run in ONNX Runtime, on a CPU."""

    def __init__(self, config: Config, graphs: Mapping[str, bytes]) -> None:
        self.config = config
        self._trunk, self._base, *self.experts = map(Session, graphs.values())

    def trunk(self, images: Tensor) -> Tensor:
        return self._trunk(images)

    def base_and_gate(self, trunk_features: Tensor) -> MoEOutput:
        logits, gate_probs = self._base.every(trunk_features)
        return MoEOutput(logits, gate_probs, logits[:, None][:, :0])

    def outputs(self, source: BatchSource) -> Outputs:
        """Every expert on every image, not augmented."""
        base, gate, experts = of_all_images(source, CPU, lambda batch: every_expert(self, batch.images.cpu()))
        return Outputs(base, gate, experts, source.labels.cpu())


def load(folder: Path | str) -> OnnxMoE:
    """The exported model in ``folder``, by its graphs.

    Raises:
        StoreError: there are none, or one is missing or damaged.
    """
    config, there = read_config(Path(folder)), Path(folder) / ONNX
    again = "export the model again with --onnx"
    if not config.graphs_sha256:
        raise StoreError(f"the model in {folder} has no graphs; {again}")
    files = {}
    for name, known in config.graphs_sha256.items():
        try:
            files[name] = (there / name).read_bytes()
        except OSError as error:
            raise StoreError(f"{there / name} cannot be read ({error.strerror}); {again}") from error
        if hashlib.sha256(files[name]).hexdigest() != known:
            raise StoreError(f"{there / name} is damaged; {again}")
    return OnnxMoE(config, files)
