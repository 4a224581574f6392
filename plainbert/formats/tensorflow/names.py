"""What Google's BERT calls its variables, and their shapes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

# Of TF2's object-based checkpoints; a "/" in a name is written ".S" there.
OBJECT = "/.ATTRIBUTES/VARIABLE_VALUE"
LAYER = re.compile(r"bert/encoder/layer_(\d{1,6})/")
# Sizes as letters: V words, P positions, T token types, D width, F feed-forward width, C classes.
EMBEDDINGS = (
    ("word_embeddings", "VD"),
    ("position_embeddings", "PD"),
    ("token_type_embeddings", "TD"),
)
DENSE = (
    ("attention/self/query", "DD"),
    ("attention/self/key", "DD"),
    ("attention/self/value", "DD"),
    ("attention/output/dense", "DD"),
    ("intermediate/dense", "DF"),
    ("output/dense", "FD"),
)
# Google's run_classifier and HaoyuHu/bert-multi-gpu; guoyaohua/BERT-Classifier; run_squad.
CLASSIFIERS = ("", "output/")
SPAN = "cls/squad/"


class Variable(NamedTuple):
    """A variable of Google's and the parameter of Hugging Face's that it is.

    Attributes:
        google: its name in the checkpoint.
        name: the parameter's name.
        shape: the variable's sizes, a letter each; "2" is two.
        transposed: whether the parameter is its transpose.
    """

    google: str
    name: str
    shape: str
    transposed: bool = False


def body(layers: int) -> Iterator[Variable]:
    """The variables of a BERT without its pooler."""
    for name, shape in EMBEDDINGS:
        yield Variable(f"bert/embeddings/{name}", f"bert.embeddings.{name}.weight", shape)
    yield from _norm("bert/embeddings/LayerNorm", "bert.embeddings.LayerNorm")
    for layer in range(layers):
        google, name = f"bert/encoder/layer_{layer}", f"bert.encoder.layer.{layer}"
        for part, shape in DENSE:
            dotted = part.replace("/", ".")
            yield from _dense(f"{google}/{part}", f"{name}.{dotted}", shape)
        for part in ("attention/output", "output"):
            dotted = part.replace("/", ".")
            yield from _norm(f"{google}/{part}/LayerNorm", f"{name}.{dotted}.LayerNorm")


def heads() -> Iterator[Variable]:
    """The variables on top of the body; a classifier's under each name that it may have."""
    yield from _dense("bert/pooler/dense", "bert.pooler.dense", "DD")
    words = "cls/predictions/transform"
    yield from _dense(f"{words}/dense", "cls.predictions.transform.dense", "DD")
    yield from _norm(f"{words}/LayerNorm", "cls.predictions.transform.LayerNorm")
    yield Variable("cls/predictions/output_bias", "cls.predictions.bias", "V")
    yield from _output("cls/seq_relationship/", "cls.seq_relationship", "2")
    yield from _output(SPAN, "qa_outputs", "2")
    for scope in CLASSIFIERS:
        yield from _output(scope, "classifier", "C")


def by_google(names: Iterable[str]) -> dict[str, Variable]:
    """Every variable that a checkpoint with the given names can have, by Google's name."""
    numbers = {int(match[1]) for name in names if (match := LAYER.match(plain(name)))}
    # No more layers than there are names: a name like layer_999999 makes no long table.
    layers = len([layer for layer in range(len(numbers)) if layer in numbers])
    return {variable.google: variable for variable in (*body(layers), *heads())}


def layers_of(known: Mapping[str, Variable]) -> int:
    """How many layers a table of :func:`by_google` has."""
    return sum(name.endswith("attention/self/query/kernel") for name in known)


def plain(name: str) -> str:
    """A name without what TF2's object-based checkpoints add.

    >>> plain("bert.Sembeddings.Sword_embeddings/.ATTRIBUTES/VARIABLE_VALUE")
    'bert/embeddings/word_embeddings'
    """
    if name.endswith(OBJECT):
        return name.removesuffix(OBJECT).replace(".S", "/")
    return name


def to_google(layers: int) -> dict[str, Variable]:
    """Variables by Hugging Face's name; a classifier gets the name that run_classifier gives it."""
    variables: dict[str, Variable] = {}
    for variable in (*body(layers), *heads()):
        variables.setdefault(variable.name, variable)
    return variables


def _dense(google: str, name: str, shape: str) -> Iterator[Variable]:
    yield Variable(f"{google}/kernel", f"{name}.weight", shape, transposed=True)
    yield Variable(f"{google}/bias", f"{name}.bias", shape[1])


def _norm(google: str, name: str) -> Iterator[Variable]:
    yield Variable(f"{google}/gamma", f"{name}.weight", "D")
    yield Variable(f"{google}/beta", f"{name}.bias", "D")


def _output(scope: str, name: str, classes: str) -> Iterator[Variable]:
    yield Variable(f"{scope}output_weights", f"{name}.weight", f"{classes}D")
    yield Variable(f"{scope}output_bias", f"{name}.bias", classes)
