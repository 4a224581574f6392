"""The keys of ``plainbert.json``, which says what ``config.json`` cannot."""

from __future__ import annotations

from plainbert.keys import sentence_files
from plainbert.keys.schema import FLAG, TEXT, Key, followed, idle, number, whole

OWN: dict[str, Key] = {
    "task": followed(TEXT),
    "max_length": followed(whole(1)),
    "pooling": followed(TEXT),
    "normalize": followed(FLAG),
    "texts": followed(whole(1, 3)),
    "num_choices": followed(whole(1, 10_000)),
    # Of vectors: sentence-transformers' names.
    **{
        name: sentence_files.MODEL[name]
        for name in ("prompts", "default_prompt_name", "truncate_dim", "similarity_fn_name")
    },
    "include_prompt": sentence_files.POOLING["include_prompt"],
    # Of answers.
    "doc_stride": followed(whole(1)),
    "max_query_length": followed(whole(1)),
    "version_2": followed(FLAG),
    "null_score_diff_threshold": followed(number(-1e30, 1e30)),
    # Of taggers.
    "tag_scheme": followed(TEXT),
    # How it was trained.
    **idle("base", "dtype", "step"),
}
