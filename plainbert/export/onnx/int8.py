"""ONNX with int8 matrix products.

Static quantisation in standard operators (QuantizeLinear, DequantizeLinear), which ONNX Runtime and
OpenVINO turn into integer products: inputs are 8 bits without a sign, on one scale for the whole
matrix, found on calibration texts; weights are 8 bits with a sign, on a scale for each output. The
word vectors are stored in 8 bits too, on a scale for each word. Everything else (attention, norms,
activations, the head) stays float32: it takes little of the time, and most of the accuracy.

A few channels of BERT's hidden states are ten times as large as the others, and would leave them a
few of the 256 steps. So each input's channels are brought closer together first, and the weights
that read them are changed the other way: the product stays the same. Where a linear map comes right
before, its weights take that over; elsewhere it is one more multiplication.

Dynamic quantisation, which looks for every input's range anew, needs no texts and is about as fast
in ONNX Runtime, but leaves the large channels as they are, makes a text's result depend on the
others in its batch, and has no fast code in OpenVINO (benchmarks/speed/export_int8.py has all).

Source:
    Xiao et al. 2023 (arXiv:2211.10438), eq. 4, for bringing channels together; there both the
    inputs' and the weights' ranges count. Here only the inputs': BERT's weights have no outliers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from plainbert.export.onnx.ranges import Array, Range

if TYPE_CHECKING:
    import onnx_ir as ir

WORDS = "word_embeddings.weight"


def quantize(model: ir.Model, ranges: Mapping[str, Range]) -> None:
    """Make the products of a graph's encoder, and its word vectors, int8.

    Args:
        model: from :func:`plainbert.export.onnx.graph.build`; it is changed.
        ranges: from :func:`plainbert.export.onnx.ranges.observe`.
    """
    from onnx_ir.passes import common

    graph = _EncoderProducts(model)
    # Bringing channels together changes weights of other products: all of it comes first.
    bounds = {place: graph.even_out(place, seen) for place, seen in ranges.items()}
    for place, (low, high) in bounds.items():
        graph.quantize(place, low, high)
    graph.quantize_words()
    common.RemoveUnusedNodesPass()(model)


class _EncoderProducts:
    """A graph, and where the encoder's products are in it."""

    def __init__(self, model: ir.Model) -> None:
        self._graph = model.graph
        self._products: dict[str, ir.Node] = {}  # "layer.0.output.dense" and so on
        for node in model.graph:
            weight = node.inputs[1] if node.op_type == "Gemm" else None
            _, inside, name = (weight.name or "" if weight else "").partition(".encoder.")
            if inside:
                self._products[name.removesuffix(".weight")] = node

    def even_out(self, place: str, seen: Range) -> tuple[float, float]:
        """Bring an input's channels together, and return the range of all of them then."""
        factors = seen.factors()
        inverse: Array = (1 / factors).astype(np.float32)
        readers = self._readers(place)
        if readers:
            before = self._map_before(place, readers[0])
            if before is not None:
                self._scale(before, 1, inverse[:, None])
                self._scale(before, 2, inverse)
            else:
                self._divide(place, readers, inverse)
            for node in readers:
                self._scale(node, 1, factors)
        return float((seen.low * inverse).min()), float((seen.high * inverse).max())

    def quantize(self, place: str, low: float, high: float) -> None:
        """Make all products of an input int8."""
        readers = self._readers(place)
        if not readers:  # a layer that the pooling does not need
            return
        low, high = min(low, 0.0), max(high, 0.0)  # 0 must be one of the 256 values
        step = np.float32((high - low) / 255 or 1.0)
        scale = self._constant(f"{place}.scale", step)
        zero = self._constant(f"{place}.zero", np.uint8(np.clip(round(-low / float(step)), 0, 255)))
        small = self._insert(
            readers[0], "QuantizeLinear", f"{place}.int8", [readers[0].inputs[0], scale, zero]
        )
        large = self._insert(readers[0], "DequantizeLinear", f"{place}.input", [small, scale, zero])
        for node in readers:
            weight, bias = _array(node.inputs[1]), _array(node.inputs[2])
            name = str(_value(node.inputs[1]).name).removesuffix(".weight")
            steps = _steps(weight)  # of each output
            rows = np.rint(weight / steps[:, None]).astype(np.int8)
            node.replace_input_with(0, large)
            node.replace_input_with(1, self._stored(node, f"{name}.weight", rows, steps))
            # In 32 bits and on the product's own scale: integer products add it at no cost.
            own = (steps * step).astype(np.float32)
            whole = np.clip(np.rint(bias / own), -(2**31) + 128, 2**31 - 128).astype(np.int32)
            node.replace_input_with(2, self._stored(node, f"{name}.bias", whole, own))

    def quantize_words(self) -> None:
        """Store the word vectors in 8 bits."""
        for node in self._graph:
            table = node.inputs[0] if node.op_type == "Gather" else None
            if table is None or not (table.name or "").endswith(WORDS):
                continue
            vectors, ids = _array(table), node.inputs[1]
            steps = _steps(vectors)[:, None]  # (V, 1)
            rows = self._constant(f"{table.name}.int8", np.rint(vectors / steps).astype(np.int8))
            scales = self._constant(f"{table.name}.scale", steps)
            small = self._insert(node, "Gather", "words.int8", [rows, ids])
            scale = self._insert(node, "Gather", "words.scale", [scales, ids])
            large = self._insert(node, "Cast", "words.float", [small], to=1)  # float32
            words = self._insert(node, "Mul", "words", [large, scale])
            node.outputs[0].replace_all_uses_with(words)
            return

    def _readers(self, place: str) -> list[ir.Node]:
        """Products of an input: three in attention, else one."""
        names = (f"{place}{end}" for end in ("", ".query", ".key", ".value"))
        return [self._products[name] for name in names if name in self._products]

    def _map_before(self, place: str, reader: ir.Node) -> ir.Node | None:
        """The linear map whose outputs are this input's channels, each times some positive number.

        Attention mixes tokens, not channels; ReLU lets factors through.
        """
        layer = ".".join(place.split(".")[:2])
        if place == f"{layer}.attention.output.dense":
            return self._products[f"{layer}.attention.self.value"]
        producer = _value(reader.inputs[0]).producer()
        if place == f"{layer}.output.dense" and producer is not None and producer.op_type == "Relu":
            return self._products[f"{layer}.intermediate.dense"]
        return None

    def _divide(self, place: str, readers: list[ir.Node], inverse: Array) -> None:
        factors = self._constant(f"{place}.inverse", inverse)
        even = self._insert(readers[0], "Mul", f"{place}.even", [readers[0].inputs[0], factors])
        for node in readers:
            node.replace_input_with(0, even)

    def _scale(self, node: ir.Node, index: int, factors: Array) -> None:
        """Multiply a product's weights (1) or bias (2)."""
        value = _value(node.inputs[index])
        value.const_value = _tensor(str(value.name), _array(value) * factors)

    def _stored(self, node: ir.Node, name: str, whole: Any, steps: Array) -> ir.Value:
        """Whole numbers, and the step that each row counts in, as what they stand for."""
        parts = [
            self._constant(f"{name}.int", whole),
            self._constant(f"{name}.scale", steps),
            self._constant(f"{name}.zero", np.zeros(len(steps), whole.dtype)),
        ]
        return self._insert(node, "DequantizeLinear", f"{name}.float", parts, axis=0)

    def _constant(self, name: str, array: Any) -> ir.Value:
        import onnx_ir as ir

        value = ir.Value(name=name, const_value=_tensor(name, array))
        self._graph.register_initializer(value)
        return value

    def _insert(
        self, before: ir.Node, operator: str, name: str, inputs: list[Any], **attributes: int
    ) -> ir.Value:
        """Add a node; its output."""
        import onnx_ir as ir

        node = ir.node(operator, inputs, attributes)
        node.outputs[0].name = name
        self._graph.insert_before(before, node)
        return node.outputs[0]


def _steps(rows: Array) -> Array:
    """The step of each row, so that its largest number is 127 of them: (N, K) -> (N,)."""
    steps = np.abs(rows).max(1) / np.float32(127)
    return np.where(steps > 0, steps, np.float32(1)).astype(np.float32)


def _value(value: ir.Value | None) -> ir.Value:
    assert value is not None
    return value


def _array(value: ir.Value | None) -> Array:
    """The numbers of a constant."""
    tensor = _value(value).const_value
    assert tensor is not None
    return tensor.numpy()


def _tensor(name: str, array: Any) -> ir.Tensor[Any]:
    import onnx_ir as ir

    return ir.Tensor(np.asarray(array, order="C"), name=name)
