"""How results are made of an export's outputs: what its predict.py must know, worked out here."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from plainbert.export.program.predict_texts import ACTIVATIONS
from plainbert.export.source import Source
from plainbert.keys.config_json import activation_of
from plainbert.tasks.embedding.encode import kept_numbers
from plainbert.tasks.ner.spelling import parse
from plainbert.tasks.ner.tags import TagSet
from plainbert.tasks.squad.predict import limits_of, search_of
from plainbert.text.sentencepiece import SentencePiece


def decoding_of(source: Source) -> dict[str, Any]:
    """What ``manifest.json`` says of the way from outputs to results, for a task.

    Args:
        source: the model that is exported.
    """
    match source.task:
        case "embedding":
            return _of_vectors(source)
        case "regression":
            name = activation_of(source.config.extra) or "Identity"
            kind = name.rpartition(".")[2]
            # Of an unknown function there is no score: the logit is called so.
            return {"activation": kind if kind in ACTIVATIONS else None}
        case "ner":
            return _of_words(source)
        case "question_answering":
            return _of_answers(source)
    return {}


def _of_vectors(source: Source) -> dict[str, Any]:
    assert source.pooling is not None
    return {
        "prompt": source.sentence.prompt,
        "truncate_dim": kept_numbers(source.sentence, source.pooling),
    }


def _of_words(source: Source) -> dict[str, Any]:
    tags = TagSet.trained(source.labels, source.about.get("tag_scheme"))
    marked_first = isinstance(source.tokenizer, SentencePiece)
    return {
        "entities": tags.entities,
        "letters": [[*parse(label)] for label in tags.labels],  # B, I, E, S or O, and the type
        "never": tags.controls,
        "pieces": tags.pieces,
        "nothing": tags.nothing,
        "word_mark": "\u2581" if marked_first else "##",
        "mark_is_first": marked_first,
    }


def _of_answers(source: Source) -> dict[str, Any]:
    # An export may take less than the model was trained with.
    usual = limits_of(source.about, source.max_length).max_len
    limits = limits_of(source.about, source.max_length, max_len=min(usual, source.max_length))
    return {"limits": asdict(limits), "search": asdict(search_of(source.about))}
