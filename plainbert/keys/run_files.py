"""The keys of what runs and exports write for themselves: args.json, the state, manifest.json."""

from __future__ import annotations

from plainbert.keys.own_file import OWN
from plainbert.keys.schema import (
    ANY,
    FLAG,
    TEXT,
    Form,
    Key,
    by_name,
    followed,
    having,
    listed,
    whole,
)

# Losses and scores of a run that goes wrong are not finite.
MEASURED = Form(
    "a number",
    lambda value: (
        isinstance(value, float)
        or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**1000)
    ),
)

ARGS: dict[str, Key] = {
    "flags": followed(by_name(ANY)),
    "versions": followed(by_name(ANY)),
    "script": followed(TEXT),
    "command": followed(listed(TEXT)),
}

# JSON has no NaN: null stands for a loss that was none.
_LOSS = Form("a number or null", lambda value: value is None or MEASURED.fits(value))

STATE: dict[str, Key] = {
    **dict.fromkeys(("step", "best_step", "waiting", "steps", "ranks"), followed(whole(0))),
    "best": followed(MEASURED),
    "losses": followed(by_name(_LOSS)),
    "scaler": followed(having({"scale": followed(MEASURED), "good": followed(whole(0))})),
    "order": followed(by_name(ANY)),
}

MANIFEST: dict[str, Key] = {
    **dict.fromkeys(
        ("format", "task", "source", "output", "plainbert", "date", "install"), followed(TEXT)
    ),
    "max_length": followed(whole(2)),
    "labels": followed(listed(TEXT)),
    **dict.fromkeys(("lower", "quantized"), followed(FLAG)),
    "pooling": followed(by_name(ANY)),
    "about": followed(having(OWN)),
    **dict.fromkeys(("check", "decoding", "origin", "versions"), followed(by_name(ANY))),
}
