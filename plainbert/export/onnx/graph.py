"""BERT as an ONNX graph, laid out so that runtimes find their fast code for it.

The same model as everywhere, written down in a form that suits ONNX Runtime and OpenVINO:

- The tokens of a batch are the rows of one matrix, padding included. Linear layers become Gemm,
  which adds the bias; and ONNX Runtime, which fuses a sum and a norm of three-dimensional values
  into SkipLayerNormalization, leaves the sum and LayerNormalization, several times as fast.
- Queries, keys and values are three products, which costs less than cutting one apart.
- Attention is seven nodes that both runtimes fuse; torch's own translation also looks for NaN.

Only standard operators are used. The letters of the shape comments are explained in
:mod:`plainbert.nn.layout`.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from plainbert import __version__
from plainbert.errors import MissingDependencyError
from plainbert.export.names import INPUTS
from plainbert.export.source import Source
from plainbert.nn.bert import Bert, Output, SelfAttention
from plainbert.nn.layout import Layout, Padded
from plainbert.nn.leaves import with_leaves

if TYPE_CHECKING:
    import onnx_ir as ir

PACKAGES = ("onnx", "onnx_ir", "onnxscript")
OPSET = 20  # the first with Gelu
LOWEST = -3.4e38  # added to the scores of padded keys; they weigh exactly 0


def require() -> None:
    """Make sure that the packages which write ONNX are there.

    Raises:
        MissingDependencyError: onnx or onnxscript is not installed.
    """
    try:
        for package in PACKAGES:
            import_module(package)
    except ImportError as error:
        name = (error.name or "onnxscript").partition(".")[0]
        raise MissingDependencyError(name, "export", "export to ONNX") from None


def build(source: Source) -> ir.Model:
    """Translate a model.

    Args:
        source: the model.

    Returns:
        a graph with inputs input_ids, token_type_ids and attention_mask, each (B, L), int64, for
        any B and any L up to the model's positions, and one output: "vectors" of an embedding,
        "logits" otherwise. Weights are named as in the model, and are its own memory.

    Raises:
        MissingDependencyError: onnx or onnxscript is not installed.
    """
    require()
    from onnx_ir.passes import common
    from onnxscript import opset20

    positions = source.config.max_position_embeddings
    batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens", max=positions)
    # Any values do, but torch would keep a size of 1 fixed.
    sample = tuple(torch.ones(2, min(8, positions), dtype=torch.int64) for _ in INPUTS)
    with _quiet():
        program = torch.onnx.export(
            in_rows(source).module(),
            sample,
            dynamo=True,
            opset_version=OPSET,
            verbose=False,
            input_names=INPUTS,
            output_names=[output_name(source)],
            dynamic_shapes=({0: batch, 1: tokens},) * 3,
            custom_translation_table={
                torch.ops.aten.scaled_dot_product_attention.default: _attention(opset20)
            },
        )
    assert program is not None
    model: ir.Model = program.model
    common.ClearMetadataAndDocStringPass()(model)  # it has folders of this machine
    for value in model.graph.initializers.values():
        # Tensors say these themselves. Saying them twice breaks programs that turn weights around,
        # such as ONNX Runtime's quantize_dynamic.
        value.shape = value.type = None
    model.producer_name, model.producer_version = "plainbert", __version__
    return model


def output_name(source: Source) -> str:
    """What the output is called."""
    return "vectors" if source.task == "embedding" else "logits"


def in_rows(source: Source) -> Source:
    """The same model, whose linear layers see the tokens of a batch as the rows of one matrix.

    It shares its weights with the original.
    """

    def replace(part: nn.Module) -> nn.Module | None:
        if isinstance(part, Bert):
            return _BertInRows(part)
        return _ThreeProducts(part) if isinstance(part, SelfAttention) else None

    twin = with_leaves(source.model, replace)
    return dataclasses.replace(source, model=twin)


class _Rows(Padded):
    """A padded batch as the rows of one matrix: the shape of the ids is (B * L,)."""

    def positions(self) -> Tensor:
        return super().positions().expand(self.mask.shape).flatten()  # (1, L) -> (B * L,)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
        q, k, v = (part.unflatten(0, self.mask.shape) for part in (q, k, v))  # (B, L, N, H)
        return super().attend(q, k, v, dropout).flatten(0, 1)  # (B * L, N, H)

    def first(self, hidden: Tensor) -> Tensor:
        return hidden.unflatten(0, self.mask.shape)[:, 0]  # (B * L, D) -> (B, D)


class _BertInRows(Bert):
    """The encoder over padded batches, computed in rows."""

    def __init__(self, plain: Bert) -> None:
        nn.Module.__init__(self)
        self.config, self.embeddings = plain.config, plain.embeddings
        self.encoder, self.pooler = plain.encoder, plain.pooler

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *,
        layout: Layout | None = None,
        **options: Any,
    ) -> Output:
        assert isinstance(layout, Padded)
        assert token_type_ids is not None
        hidden, pooled, layers = super().forward(
            input_ids.flatten(),
            token_type_ids.flatten(),
            layout=_Rows(layout.mask),
            **options,
        )
        shape = input_ids.shape
        if layers is not None:
            layers = tuple(layer.unflatten(0, shape) for layer in layers)
        return Output(hidden.unflatten(0, shape), pooled, layers)  # (B * L, D) -> (B, L, D)


class _ThreeProducts(SelfAttention):
    """Self-attention with three products."""

    def __init__(self, plain: SelfAttention) -> None:
        nn.Module.__init__(self)
        self.heads, self.dropout = plain.heads, 0.0
        self.query, self.key, self.value = plain.query, plain.key, plain.value

    def forward(self, hidden: Tensor, layout: Layout) -> Tensor:
        maps = (self.query, self.key, self.value)
        q, k, v = (part(hidden).unflatten(-1, self.heads) for part in maps)  # (B * L, N, H)
        return layout.attend(q, k, v).flatten(-2)


def _attention(op: Any) -> Callable[..., Any]:
    """How attention is written; ``op`` has the operators."""

    def attend(query: Any, key: Any, value: Any, attn_mask: Any, dropout_p: float = 0.0) -> Any:
        scale = op.Constant(value_float=1 / math.sqrt(query.shape[-1]))
        turned = op.Transpose(key, perm=[0, 1, 3, 2])  # (B, N, L, H) -> (B, N, H, L)
        scores = op.Mul(op.MatMul(query, turned), scale)  # (B, N, L, L)
        far = op.Constant(value_float=LOWEST)
        hidden = op.Where(attn_mask, op.Constant(value_float=0.0), far)
        return op.MatMul(op.Softmax(op.Add(scores, hidden), axis=-1), value)

    return attend


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what torch's exporter says about its own parts."""
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
