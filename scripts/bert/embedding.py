r"""Vectors of words, or of whole sentences.

Vectors of the words of a sentence, from the last layer (GluonNLP's way):

    python scripts/bert/embedding.py --sentences "A heron was fishing."

One vector per sentence, as the folder's own pooling makes it, to a file:

    python scripts/bert/embedding.py --model_dir all-MiniLM-L6-v2 --file texts.txt \
        --output vectors.npz

The same with bert-as-service's pooling, from two layers:

    python scripts/bert/embedding.py --file texts.txt --pooling_strategy REDUCE_MEAN \
        --pooling_layer -2 -1 --output vectors.jsonl

A line of --file (or of standard input, --file -) is a text; "first ||| second" is a pair. With
--text_columns, or for a .tsv, .csv or .jsonl file, the texts are in columns. The rows
of --output are in the order of the input: .npz holds the arrays "text" and "vector", .jsonl one
object a line. Sentence vectors are made when --output or a pooling flag is given.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from plainbert.cli.run import run
from plainbert.recipes.shared import flags, texts

POOLING = ("output", "pooling_strategy", "pooling_layer", "mask_cls_sep")
FORMS = (".npz", ".jsonl")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = flags.parser(__doc__)
    flags.add(parser, model_dir=None, bert_model="bert_12_768_12")
    flags.add(parser, bert_dataset="book_corpus_wiki_en_uncased", model_parameters=None)
    flags.add(parser, sentencepiece=None, do_lower_case=None)
    flags.add(parser, file=None, sentences=None, text_columns=None, max_len=None)
    flags.add(parser, pooling_strategy=None, pooling_layer=(-1,), mask_cls_sep=False)
    flags.add(parser, oov_way="avg", batch_size=256, output=None, overwrite=False, verbose=False)
    flags.add_device(parser, dtype="float32")
    args = flags.parse(parser, argv)
    texts.check(parser, args, FORMS)
    return args


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)
    rows = texts.read(args)
    lines = [texts.join(row) for row in rows]

    from plainbert.model import load
    from plainbert.recipes.shared.models import name_of
    from plainbert.recipes.shared.start import start
    from plainbert.tasks.embedding.result_files import write_vectors
    from plainbert.tasks.embedding.words import BertEmbedding
    from plainbert.text.sentencepiece import SentencePiece

    ready = start(args)
    folder = name_of(args)
    tokenizer = None
    if args.sentencepiece is not None:
        tokenizer = SentencePiece(args.sentencepiece, lower=args.do_lower_case is not False)
    if not set(POOLING) & set(args.given):
        embedding = BertEmbedding(
            ready.device,
            str(ready.precision),
            params_path=folder,
            max_seq_length=args.max_len or 25,
            batch_size=args.batch_size,
            tokenizer=tokenizer,
            lower=args.do_lower_case,
        )
        words = embedding(lines, oov_way=args.oov_way)
        for line, (_, arrays) in zip(lines, words, strict=True):
            print(f"Text: {line}")
            print(f"Tokens embedding: {arrays}")
        return {"texts": lines, "words": words}
    model = load(
        folder,
        dtype=ready.precision,
        device=ready.device,
        lower=args.do_lower_case,
        tokenizer=tokenizer,
    )
    encode = model.encode_tokens if args.pooling_strategy == "NONE" else model.encode
    vectors = encode(
        rows,
        pooling_strategy=args.pooling_strategy,
        pooling_layer=args.pooling_layer,
        mask_cls_sep=args.mask_cls_sep,
        max_len=args.max_len,
        bar=True,
    )
    if args.output is not None:
        write_vectors(args.output, lines, vectors)
        ready.log.info("%d vectors in %s", len(lines), args.output)
    else:
        for line, vector in zip(lines, vectors, strict=True):
            print(json.dumps({"text": line, "vector": vector.tolist()}, ensure_ascii=False))
    return {"texts": lines, "vectors": vectors}


if __name__ == "__main__":
    run(main)
