"""Work in order, in this process or in several."""

from __future__ import annotations

import operator
import sys
from types import ModuleType

import pytest

from plainbert.batching.workers import in_order


@pytest.mark.parametrize("num_workers", [0, 2])
def test_results_come_in_order(num_workers: int) -> None:
    items = [f"{row} x" for row in range(11)]

    found = list(in_order(operator.attrgetter, "upper", [], num_workers))
    assert found == []
    found = list(in_order(operator.itemgetter, 0, items, num_workers))
    assert found == [item[0] for item in items]


def test_errors_of_the_work_arrive() -> None:
    with pytest.raises(IndexError):
        list(in_order(operator.itemgetter, 5, ["abcdef", "a"], 1))


def test_what_other_processes_cannot_import_is_done_here(caplog: pytest.LogCaptureFixture) -> None:
    module = ModuleType("only_in_this_process")
    exec("def make(step):\n    return lambda item: item + step", module.__dict__)
    sys.modules[module.__name__] = module
    try:
        assert list(in_order(module.make, 2, [1, 2, 3], 1)) == [3, 4, 5]
    finally:
        del sys.modules[module.__name__]
    assert "worker processes could not run" in caplog.text
