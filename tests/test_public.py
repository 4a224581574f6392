"""The names that users have from the package itself."""

from __future__ import annotations

import pytest

import plainbert
from plainbert.errors import DeviceError, PlainBertError, UsageError
from tests.test_architecture import python

NAMES = ["Answer", "Model", "Prediction", "Tagging", "__version__", "errors", "finetune",
         "get_model", "list_models", "load"]  # fmt: skip


def test_dir_shows_what_is_public_and_nothing_else() -> None:
    assert dir(plainbert) == NAMES
    for name in NAMES:
        assert getattr(plainbert, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        plainbert.nothing  # noqa: B018


def test_errors_cost_no_torch() -> None:
    code = (
        "import sys, plainbert; plainbert.errors.PlainBertError\n"
        "print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    assert python(code) == "False False"
    assert plainbert.errors.PlainBertError is PlainBertError


def test_types_are_those_of_the_results() -> None:
    code = "import plainbert; print(plainbert.Prediction.__name__, plainbert.Model.__name__)"
    assert python(code) == "Prediction Model"


@pytest.mark.parametrize("value", ["gpu", 3, "cuda:x", "", None.__class__])
def test_what_is_no_device(value: object) -> None:
    with pytest.raises(UsageError, match=r"is not a device\. This machine has cpu"):
        plainbert.load("all-MiniLM-L6-v2", device=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["cuda:99", "meta", "cpu:7"])
def test_a_device_that_is_not_here(value: str) -> None:
    with pytest.raises(DeviceError, match=f"device='{value}': there is no such device.*has cpu"):
        plainbert.load("all-MiniLM-L6-v2", device=value)


def test_a_device_that_is_not_there() -> None:
    import torch

    name = f"cuda:{torch.cuda.device_count()}"  # one more than there are
    with pytest.raises(DeviceError, match=rf"device='{name}': there is no such device"):
        plainbert.load("all-MiniLM-L6-v2", device=name)
