"""The keys of tokenizer_config.json, special_tokens_map.json, added_tokens.json, tokenizer.json.

Source:
    transformers 2 to 5, PreTrainedTokenizerBase and BertTokenizer; tokenizers 0.8 to 0.23.
"""

from __future__ import annotations

from plainbert.keys.schema import (
    ANY,
    FLAG,
    NOTED,
    TEXT,
    Form,
    Key,
    by_name,
    either,
    followed,
    having,
    idle,
    listed,
    maybe,
    noted,
    refused,
    whole,
)

MOST_TOKENS = 10_000_000  # ids; published vocabularies have a million at most
ROW = whole(0, MOST_TOKENS)
ROLES = ("unk", "pad", "cls", "sep", "mask")

# transformers' classes whose rules and files are BERT's.
BERT_CLASSES = tuple(
    f"{name}Tokenizer{end}"
    for name in (
        "Bert", "DistilBert", "Electra", "ConvBert", "MobileBert", "SqueezeBert", "LayoutLM",
        "RetriBert", "DPRQuestionEncoder", "DPRContextEncoder", "DPRReader", "Lxmert", "Realm",
    )
    for end in ("", "Fast")
)  # fmt: skip
# These do what tokenizer.json says.
GENERAL_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend", "PreTrainedTokenizer")

# One added token, as both libraries write it.
TOKEN: dict[str, Key] = {
    "content": followed(TEXT),
    "id": followed(ROW),
    **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), followed(FLAG)),
    **idle("__type"),
}
A_TOKEN = either(TEXT, having(TOKEN, "content"))
# A list; in version 5 also {name: token}, each name for one token of the model's own.
TOKENS = either(listed(A_TOKEN), by_name(A_TOKEN))

SPECIAL: dict[str, Key] = {
    **dict.fromkeys((f"{role}_token" for role in ROLES), followed(A_TOKEN)),
    # Like any special token, they are kept whole in a text.
    **dict.fromkeys(("bos_token", "eos_token"), followed(A_TOKEN)),
    **dict.fromkeys(("additional_special_tokens", "extra_special_tokens"), followed(TOKENS)),
}

_JAPANESE = "words are cut by a Japanese dictionary, which plainbert does not have."

TOKENIZER_CONFIG: dict[str, Key] = {
    **SPECIAL,
    "tokenizer_class": followed(TEXT),
    "do_lower_case": followed(FLAG),
    "strip_accents": followed(FLAG),
    "tokenize_chinese_chars": followed(FLAG),
    "added_tokens_decoder": followed(by_name(having(TOKEN, "content"))),
    "model_max_length": followed(Form("a number", lambda value: isinstance(value, int | float))),
    "word_tokenizer_type": refused(TEXT, ("basic",), _JAPANESE),
    "subword_tokenizer_type": refused(
        TEXT, ("wordpiece",), "words are cut into other pieces than WordPiece's."
    ),
    "clean_text": refused(FLAG, (True,), "BERT cleans text of control characters."),
    "wordpieces_prefix": refused(TEXT, ("##",), "only '##' is supported."),
    "do_basic_tokenize": noted(
        FLAG, (True,), "texts are split at blanks and punctuation all the same, as by "
        "transformers' fast tokenizers."
    ),
    "never_split": noted(
        ANY, ([], False), "not kept whole, as by transformers' fast tokenizers. "
        "additional_special_tokens are."
    ),
    "split_special_tokens": noted(
        FLAG, (False,), "special tokens that are written in a text are kept whole all the same."
    ),
    "truncation_side": noted(TEXT, ("right",), "long texts lose their end all the same."),
    "add_bos_token": noted(FLAG, (False,), "texts begin with [CLS] alone."),
    "add_eos_token": noted(FLAG, (False,), "texts end with [SEP] alone."),
    "model_input_names": Key(
        listed(TEXT),
        NOTED,
        lambda names: "token_type_ids" in names,
        "without token_type_ids, transformers takes both texts of a pair for one; here the second "
        "is of type 1 all the same.",
    ),
    "auto_map": noted(
        ANY, ({},), "code of the model's own, which is never run: BERT's is used in its place."
    ),
    "mecab_kwargs": refused(ANY, ({},), _JAPANESE),
    "sudachi_kwargs": refused(ANY, ({},), _JAPANESE),
    "jumanpp_kwargs": refused(ANY, ({},), _JAPANESE),
    # Every text stands alone here, so there is no padding to be on a side.
    **idle("padding_side", "pad_to_multiple_of", "padding", "pad_token_type_id"),
    # Settings of calls, which a call overrides: of truncation the length above is what counts.
    **idle("max_length", "stride", "truncation", "truncation_strategy", "return_tensors",
           "max_len", "add_special_tokens"),
    # For turning ids into text.
    **idle("clean_up_tokenization_spaces", "chat_template", "spaces_between_special_tokens"),
    # Of other tokenizers than BERT's; transformers' BertTokenizer keeps them, and no more.
    **idle("add_prefix_space", "trim_offsets", "errors", "use_fast", "legacy", "sp_model_kwargs",
           "keep_accents", "remove_space", "vocab_file", "merges_file", "tokenizer_file",
           "bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "mask_token_id",
           "init_inputs", "return_token_type_ids"),
    # Where it came from.
    **idle("name_or_path", "special_tokens_map_file", "tokenizer_type", "processor_class",
           "_commit_hash", "backend", "is_local", "local_files_only", "transformers_version",
           "verbose", "_from_auto", "cache_dir", "device_map", "model_type", "full_tokenizer_file",
           "from_slow", "model_specific_special_tokens"),
}  # fmt: skip

# added_tokens.json: {token: row}.
ADDED_TOKENS = by_name(ROW)

_STEP = having({"type": followed(TEXT)}, "type")
NORMALIZER: dict[str, Key] = {
    "type": followed(TEXT),
    "clean_text": refused(FLAG, (True,), "BERT cleans text of control characters."),
    "handle_chinese_chars": followed(FLAG),
    "strip_accents": followed(FLAG),
    "lowercase": followed(FLAG),
    "normalizers": followed(listed(_STEP)),
    # Of SentencePiece's, which spm.model beside it says; ours among them.
    **idle("precompiled_charsmap", "pattern", "content", "prepend", "strip_left", "strip_right"),
}
# {token: id}; [[piece, score], ...] of SentencePiece's.
VOCAB = either(
    by_name(whole(-(2**53))),
    listed(
        Form(
            "[piece, score]",
            lambda pair: isinstance(pair, list) and bool(pair) and TEXT.fits(pair[0]),
        )
    ),
)
MODEL: dict[str, Key] = {
    "type": followed(TEXT),
    "vocab": followed(VOCAB),
    "unk_token": followed(TEXT),
    "continuing_subword_prefix": followed(TEXT),
    "max_input_chars_per_word": followed(whole(1, 2**63)),
    # Of SentencePiece's models, which spm.model beside it says.
    **idle("unk_id", "byte_fallback", "merges", "dropout", "end_of_word_suffix", "fuse_unk",
           "ignore_merges"),
}  # fmt: skip
TOKENIZER: dict[str, Key] = {
    "model": followed(having(MODEL)),
    "normalizer": followed(having(NORMALIZER)),
    "pre_tokenizer": followed(having({"type": followed(TEXT)})),
    "added_tokens": followed(listed(having(TOKEN, "content", "id"))),
    # [CLS] text [SEP] is BERT's frame whatever stands here; lengths are the caller's affair.
    **idle("post_processor", "truncation", "padding"),
    **idle("decoder", "version"),
}

# A vocabulary of GluonNLP's.
GLUONNLP: dict[str, Key] = {
    "idx_to_token": followed(listed(TEXT)),
    "token_to_idx": followed(by_name(ROW)),
    "identifiers_to_tokens": followed(by_name(maybe(TEXT))),
    **dict.fromkeys(
        (
            "unknown_token", "padding_token", "cls_token", "bos_token", "sep_token", "eos_token",
            "mask_token",
        ),
        followed(TEXT),
    ),
    **idle("reserved_tokens"),
}  # fmt: skip
