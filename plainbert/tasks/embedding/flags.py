"""Flags that say how vectors are made. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from plainbert.cli import values
from plainbert.cli.settings import Flags, option

FORMS = (".npz", ".npy", ".jsonl", ".csv")  # of files of vectors


@dataclass(frozen=True, kw_only=True)
class VectorFlags(Flags):
    """How the vectors of pieces become those of words, or of a sentence."""

    pooling_layer: tuple[int, ...] = option(
        (-1,),
        values.whole_numbers,
        "Layers to pool, -1 the last; several are joined end to end.",
        group="vectors",
        metavar="N",
        nargs="+",
    )
    mask_cls_sep: bool = option(
        False, None, "Leave [CLS] and [SEP] out, of attention and of pooling.", group="vectors"
    )
    prompt: str | None = option(
        None,
        str,
        "Text put before every text, '' for none. Default: the folder's default prompt.",
        group="vectors",
        metavar="TEXT",
    )
    prompt_name: str | None = option(
        None,
        str,
        "Name of one of the folder's prompts, such as query, to put before every text.",
        group="vectors",
        metavar="NAME",
    )
    words: bool = option(
        False,
        None,
        "One vector for each word of a text, also with --output; so it is without --output and "
        "flags of pooling.",
        group="vectors",
    )
    oov_way: str = option(
        "avg",
        values.one_of("way", lambda: ("avg", "sum", "last")),
        "How the vectors of a word's pieces become one: avg, sum or last.",
        group="vectors",
        metavar="WAY",
    )
