"""Which settings of a tokenizer other formats have no place for."""

from __future__ import annotations

from plainbert.model_zoo.stored import WORD_CHARS
from plainbert.text.tokenizer import Tokenizer
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece

SHOWN = 5  # added tokens that are named


def lost_settings(tokenizer: Tokenizer, target: str) -> tuple[str, ...]:
    """What a tokenizer does that one made of the files of another format does not, a line each.

    Their files hold the tokens by row and whether text is lower-cased, GluonNLP's the names of the
    special tokens too. Ours and every export hold all, in ``tokenizer.json``.

    Args:
        tokenizer: that the model was opened with.
        target: a name of :data:`plainbert.formats.names.FORMATS`.
    """
    if target == "huggingface" or not isinstance(tokenizer, WordPiece):
        return ()
    lines = []
    if tokenizer.added:
        names = [str(token["content"]) for token in tokenizer.added]
        some = ", ".join(names[:SHOWN]) + (" ..." if names[SHOWN:] else "")
        lines.append(
            f"{len(names)} added tokens ({some}): they keep their rows, but in a text they fall "
            "into pieces"
        )
    lower = tokenizer.lower
    if tokenizer.strip_accents not in (None, lower):
        kept = "stripped" if tokenizer.strip_accents else "kept"
        lines.append(
            f"strip_accents={tokenizer.strip_accents}: accents are {kept} here, and "
            f"{'stripped' if lower else 'kept'} there, with the casing"
        )
    if not tokenizer.split_cjk:
        lines.append("tokenize_chinese_chars=False: there each ideograph is a word of its own")
    usual = WORD_CHARS.get(target, 100)
    if tokenizer.max_word_chars != usual:
        lines.append(
            f"the longest word, {tokenizer.max_word_chars} characters: there those of more than "
            f"{usual} are unknown"
        )
    if target != "gluonnlp":
        usual_names = Vocab(tokenizer.vocab.tokens).specials
        lines += [
            f"the {role} token {token!r}: there it is looked for under its usual name"
            for role, token in tokenizer.vocab.specials.items()
            if usual_names.get(role) != token
        ]
    return tuple(lines)
