"""Weights of a model that was wrapped when it was saved, and what its classes are called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

from plainbert import checkpoint, model_zoo
from plainbert.checkpoint.names import bare_names
from plainbert.config import BertConfig
from plainbert.errors import CheckpointError, FormatError
from plainbert.files import read_json, write_json
from tests.helpers.folders import LABELS, batch, tiny, tokenizer


def with_checkpointed_layers(model: nn.Module) -> nn.Module:
    """Each layer wrapped as torch wraps it to spare activations."""
    names = [name for name, _ in model.named_modules() if name.endswith(("layer.0", "layer.1"))]
    assert len(names) == 2
    for name in names:
        parent, _, key = name.rpartition(".")
        layers = model.get_submodule(parent)
        setattr(layers, key, checkpoint_wrapper(layers.get_submodule(key)))
    return model


def fsdp_names(tensors: dict[str, Any]) -> dict[str, Any]:
    """Names as FSDP's own state has them, wrapped whole and layer by layer."""
    inner = {
        name.replace("layer.0.", "layer.0._fsdp_wrapped_module."): tensor
        for name, tensor in tensors.items()
    }
    return {f"_fsdp_wrapped_module.{name}": tensor for name, tensor in inner.items()}


def compiled(model: nn.Module) -> nn.Module:
    """Compiled when it is first called, which it never is."""
    wrapped: nn.Module = torch.compile(model)  # type: ignore[assignment]
    return wrapped


WRAPPED = {
    "DataParallel": lambda model: nn.DataParallel(model).state_dict(),
    "twice": lambda model: nn.DataParallel(nn.DataParallel(model)).state_dict(),
    "compiled": lambda model: compiled(model).state_dict(),
    "compiled in parallel": lambda model: nn.DataParallel(compiled(model)).state_dict(),
    "parallel, compiled": lambda model: compiled(nn.DataParallel(model)).state_dict(),
    "checkpointed": lambda model: {
        name.replace("layer.0.", "layer.0._checkpoint_wrapped_module."): tensor
        for name, tensor in with_checkpointed_layers(model).state_dict().items()
    },
    "FSDP": lambda model: fsdp_names(model.state_dict()),
    "Lightning": lambda model: {
        f"model.{name}": tensor for name, tensor in model.state_dict().items()
    },
}


def folder_of(place: Path, wrap: Any, head: str = "classification") -> tuple[Path, torch.Tensor]:
    """A folder with wrapped names, and the logits of its model."""
    model = tiny(head)
    ids, types, mask = batch()
    from plainbert.nn.layout import Padded

    with torch.no_grad():
        logits = model(ids, types, Padded(mask))
    folder = checkpoint.write(place / "model", model, tokenizer())
    (folder / "model.safetensors").unlink()
    torch.save(dict(wrap(model)), folder / "pytorch_model.bin")
    return folder, logits


@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("head", ["classification", "token_classification"])
def test_classes_are_reordered_whatever_wraps_the_model(
    tmp_path: Path, name: str, head: str
) -> None:
    folder, logits = folder_of(tmp_path, WRAPPED[name], head)
    from plainbert.nn.layout import Padded

    ids, types, mask = batch()
    order = [2, 0, 1]
    opened = model_zoo.open_folder(folder, head, [LABELS[row] for row in order])
    with torch.no_grad():
        ours = opened.model(ids, types, Padded(mask))
    expected = logits[..., order]
    real = mask.bool() if head == "token_classification" else ...
    torch.testing.assert_close(ours[real], expected[real], atol=1e-6, rtol=0)
    assert opened.report.fresh == ()


def test_names_that_only_look_wrapped() -> None:
    names = ["module.bert.x", "bert.y"]  # not all: a name of its own
    assert bare_names(names) == {name: name for name in names}
    assert bare_names(["a_orig_mod.x"]) == {"a_orig_mod.x": "a_orig_mod.x"}


def test_placeholders_in_the_place_of_names_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny("classification", id2label=("LABEL_0", "LABEL_1", "LABEL_2"))
    folder = checkpoint.write(tmp_path / "model", model, tokenizer())
    model_zoo.open_folder(folder)
    model_zoo.open_folder(folder, labels=["LABEL_0", "LABEL_1", "LABEL_2"])
    assert caplog.records == []
    model_zoo.open_folder(folder, labels=LABELS)
    (record,) = caplog.records
    assert "calls its classes LABEL_0, LABEL_1, LABEL_2: they are taken to be red, green, blue" in (
        record.getMessage()
    )


SIZES = {"vocab_size": 12, "hidden_size": 16, "num_attention_heads": 2}


@pytest.mark.parametrize(
    "value",
    [
        ["red", "green", "blue"],
        {"0": "red", "1": "green", "2": "blue"},
        {"2": "blue", "0": "red", "1": "green"},
        {0: "red", 2: "blue", 1: "green"},
    ],
    ids=["list", "text", "any order", "numbers"],
)
def test_ids_of_classes(value: Any) -> None:
    assert BertConfig.from_dict({**SIZES, "id2label": value}).id2label == LABELS


def test_numbers_as_names() -> None:
    config = BertConfig.from_dict({**SIZES, "id2label": {"0": 1, "1": 5}})
    assert config.id2label == ("1", "5")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"0": "a", "1": "b", "2": "a"}, "both class 0 and class 2 'a'"),
        (["a", "a"], "both class 0 and class 1 'a'"),
        ({"0": "a", "2": "b"}, "must name ids 0 to n-1"),
        ({"2": "a", "3": "b"}, "must name ids 0 to n-1"),
        ({"1": "a", "01": "b"}, "must name ids 0 to n-1"),
        ({"0": "a", "00": "b"}, "must name ids 0 to n-1"),
        ({"zero": "a"}, "must name ids 0 to n-1"),
        ({"0": None}, "id2label="),
        ({"0": ["a"]}, "id2label="),
    ],
)
def test_classes_that_would_be_lost(tmp_path: Path, value: Any, message: str) -> None:
    folder = checkpoint.write(tmp_path / "model", tiny("classification"), tokenizer())
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", {**config, "id2label": json.loads(json.dumps(value))})
    with pytest.raises((CheckpointError, FormatError), match=message):
        checkpoint.read(folder)
