"""JSON that lies: one value lost, or of another type, size or depth; or its bytes spoiled."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from tests.helpers.fuzz_checkpoint import mutated

WRONG = (
    None, True, False, 0, 1, -1, 7, 10**400, -(10**400), 2**63, 2**31, 1.5, -0.0, 1e308, 1e-400,
    float("nan"), float("inf"), -float("inf"), "", "a", "x" * 5000, "\ud800", "a\nb", "a\tb\0",
    "../x", "/etc/passwd", "null", "NaN", [], [[]], [None], [1, "a", None], {}, {"": 1},
    {"content": 3}, {"content": "a"}, {"type": None}, {"0": {"content": "[E1]"}}, {"a": {"b": {}}},
)  # fmt: skip
DEEP = 200


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value; of long lists and objects the first and last ones."""
    found = [path]
    keys = list(value) if isinstance(value, dict) else range(len(value)) if _is_list(value) else ()
    for key in (*keys[:6], *keys[6:][-6:]):
        found += places(value[key], (*path, key))
    return found


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def changed(value: Any, rng: random.Random) -> Any:
    """A copy with one to three places changed."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        path = rng.choice(places(value))
        if not path:
            if rng.random() < 0.2:
                value = rng.choice(WRONG)
            continue
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        value = _change(value, holder, path[-1], rng)
    return value


def _change(value: Any, holder: Any, key: Any, rng: random.Random) -> Any:
    kind = rng.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[rng.choice((f"{key} ", str(key).upper(), "\ud800", ""))] = holder.pop(key)
    elif kind == 2:
        for _ in range(rng.choice((1, 3, DEEP))):
            holder[key] = [holder[key]] if rng.random() < 0.5 else {"a": holder[key]}
    elif kind == 3 and isinstance(holder[key], list | str):
        holder[key] = holder[key] * rng.choice((2, 50))
    else:
        holder[key] = copy.deepcopy(rng.choice(WRONG))
    return value


def garbled(value: Any, rng: random.Random) -> bytes:
    """The bytes of a garbled JSON file."""
    if rng.random() < 0.15:
        return mutated(json.dumps(value).encode(), rng)
    text = json.dumps(changed(value, rng), ensure_ascii=rng.random() < 0.5)
    return text.encode("utf-8", "surrogatepass")
