from __future__ import annotations

import pytest

from plainbert.distributed.nodelist import expand_counts, expand_hosts
from plainbert.errors import UsageError


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("n1", ["n1"]),
        ("n1,m2.example", ["n1", "m2.example"]),
        ("n[01-04,07],m2", ["n01", "n02", "n03", "n04", "n07", "m2"]),
        ("n[9-11]", ["n9", "n10", "n11"]),
        ("n[098-101]-ib", ["n098-ib", "n099-ib", "n100-ib", "n101-ib"]),
        ("r[0-1]n[1,3]", ["r0n1", "r0n3", "r1n1", "r1n3"]),
        ("[1-2]", ["1", "2"]),
    ],
)
def test_hosts(text: str, hosts: list[str]) -> None:
    assert expand_hosts(text) == hosts


@pytest.mark.parametrize(
    "text",
    ["", ",", "n[", "n]", "n[1-]", "n[2-1]", "n[a]", "n[[1]]", "n[1],", "n[]", "n[1-99999999999]"],
)
def test_what_is_no_node_list(text: str) -> None:
    with pytest.raises(UsageError, match="not a list of hosts"):
        expand_hosts(text)


def test_counts() -> None:
    assert expand_counts("2(x3),1") == [2, 2, 2, 1]
    assert expand_counts("4") == [4]
    for text in ("", "2(3)", "x", "2(x99999999)"):
        with pytest.raises(UsageError, match="not a list of task counts"):
            expand_counts(text)
