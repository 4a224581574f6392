"""A SentencePiece model, with GluonNLP's rules around it, as a ``tokenizers`` object."""

from __future__ import annotations

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

from plainbert.errors import FormatError
from plainbert.text import sentencepiece_model as spm
from plainbert.text.special import add_special_tokens
from plainbert.text.vocab import Vocab

MARK = "\u2581"  # what SentencePiece puts where a word begins
# The places before and after what BERT calls punctuation. Never the very start of a text: a blank
# put there breaks the alignments of tokenizers 0.23, and its next normalizer panics.
_PUNCTUATION = r"[!-/:-@\[-`{-~\p{P}]"
_BESIDE_PUNCTUATION = f"(?<={_PUNCTUATION})(?=[^ ])|(?<=[^ ])(?={_PUNCTUATION})"


def bert_normalizer(lower: bool) -> normalizers.Normalizer:
    """Google's clean-up, lower-casing and accent stripping."""
    return normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=lower
    )


def build(model: spm.SentencePieceModel, vocab: Vocab, lower: bool) -> tokenizers.Tokenizer:
    """Make the tokenizer: BERT's words first, then the model's own normalisation and pieces.

    ``tokenizers`` normalises before it splits, whereas the model's normalisation belongs to each
    word (it may turn one character into several marks); so punctuation is set apart by blanks
    within the normalizer.

    Raises:
        FormatError: the model is neither unigram nor BPE.
    """
    if model.kind == spm.UNIGRAM:
        texts = [piece.text for piece in model.pieces]
        scores = list(zip(texts, _scores(model), strict=True))
        inner: models.Model = models.Unigram(
            scores, unk_id=model.unk_id, byte_fallback=model.byte_fallback
        )
    elif model.kind == spm.BPE:
        inner = models.BPE(
            {piece.text: row for row, piece in enumerate(model.pieces)},
            _merges(model),
            unk_token=model.pieces[model.unk_id].text,
            fuse_unk=True,
            byte_fallback=model.byte_fallback,
        )
    else:
        raise FormatError(
            "the SentencePiece model is of type word or char; unigram and bpe are accepted."
        )
    backend = tokenizers.Tokenizer(inner)
    steps = [bert_normalizer(lower), normalizers.Replace(Regex(_BESIDE_PUNCTUATION), " ")]
    if model.charsmap:
        steps.append(normalizers.Precompiled(model.charsmap))
    backend.normalizer = normalizers.Sequence(steps)
    prefix = "always" if model.dummy_prefix else "never"
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme=prefix, split=False),
        ]
    )
    backend.decoder = decoders.Metaspace(replacement=MARK, prepend_scheme=prefix)
    # Rows beyond the model's pieces ([MASK], [SEP], [CLS]) get the next ids in this order.
    backend.add_special_tokens(
        [tokenizers.AddedToken(name) for name in vocab.tokens[len(model.pieces) :]]
    )
    add_special_tokens(backend, vocab)
    return backend


def _scores(model: spm.SentencePieceModel) -> list[float]:
    """Scores as the unigram search uses them: the user's own symbols beat everything.

    Source:
        google/sentencepiece, src/unigram_model.cc, Model::PopulateNodes.
    """
    best = max((piece.score for piece in model.pieces if piece.kind == spm.NORMAL), default=0.0)
    return [
        len(piece.text) * best - 0.1 if piece.kind == spm.USER_DEFINED else piece.score
        for piece in model.pieces
    ]


def _merges(model: spm.SentencePieceModel) -> list[tuple[str, str]]:
    """Every pair of pieces that makes a piece, the best piece first."""
    rows = {piece.text: row for row, piece in enumerate(model.pieces) if piece.kind == spm.NORMAL}
    merges: list[tuple[float, int, int, str, str]] = []
    for text, row in rows.items():
        for cut in range(1, len(text)):
            left, right = text[:cut], text[cut:]
            if left in rows and right in rows:
                score = -model.pieces[row].score
                merges.append((score, rows[left], rows[right], left, right))
    return [(left, right) for *_, left, right in sorted(merges)]
