"""The keys of ``config.json``: what transformers and sentence-transformers write there.

Source:
    transformers 2 to 5, PretrainedConfig and BertConfig; sentence-transformers 0.2 to 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plainbert.keys.schema import (
    ANY,
    FLAG,
    TEXT,
    Form,
    Key,
    either,
    followed,
    having,
    idle,
    listed,
    noted,
    number,
    refused,
    whole,
)

_ENCODERS = "plainbert's models are encoders, in which every word sees all others."
_DECODER = f"a decoder that sees only the words before. {_ENCODERS}"
_NO_SUCH = "plainbert has no such models."

# CrossEncoder keeps what it makes scores of logits with here, since version 4.
ACTIVATION = having({"activation_fn": followed(TEXT)})
ACTIVATION_KEYS = ("sentence_transformers", "sbert_ce_default_activation_function")  # new, old
_LABEL = either(Form("text", lambda value: isinstance(value, str)), number(-1e15, 1e15), FLAG)
LABELS = Form(
    "the names of the classes, a list or {id: name} with the ids 0 to n-1",
    lambda value: (
        listed(_LABEL).fits(list(value.values()) if isinstance(value, dict) else value)
        and all(isinstance(key, str | int) for key in value if isinstance(value, dict))
    ),
)

CONFIG: dict[str, Key] = {
    **dict.fromkeys(
        (
            "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
            "intermediate_size", "max_position_embeddings", "type_vocab_size",
        ),
        followed(whole(1)),
    ),
    **dict.fromkeys(
        ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"),
        followed(number(0, 1)),
    ),
    "hidden_act": followed(TEXT),
    "layer_norm_eps": followed(number(0, 1)),
    "initializer_range": followed(number(0, 1e6)),
    "pad_token_id": followed(whole(0)),
    "id2label": followed(LABELS),
    "num_labels": followed(Form("a whole number", lambda value: isinstance(value, int))),
    "problem_type": followed(TEXT),
    "architectures": followed(listed(TEXT)),
    "model_type": refused(TEXT, ("bert",), "a model of another kind; BERT is expected."),
    "do_lower_case": followed(FLAG),
    "sentence_transformers": followed(ACTIVATION),
    "sbert_ce_default_activation_function": followed(TEXT),
    "tokenizer_class": followed(TEXT),
    "position_embedding_type": refused(
        TEXT, ("absolute",), "positions relative to each other; only 'absolute' is supported."
    ),
    "is_decoder": refused(FLAG, (False,), _DECODER),
    "add_cross_attention": refused(FLAG, (False,), _DECODER),
    "is_encoder_decoder": refused(FLAG, (False,), f"two models in one. {_ENCODERS}"),
    "tie_encoder_decoder": refused(FLAG, (False,), f"two models in one. {_ENCODERS}"),
    "is_causal": refused(FLAG, (False,), f"words see only those before. {_ENCODERS}"),
    "pruned_heads": refused(
        ANY, ({}, []), "layers with a different number of attention heads each; "
        "pruned_heads is not empty, and that is not supported.",
    ),
    "per_layer_config": refused(ANY, ({}, []), f"layers of different kinds. {_NO_SUCH}"),
    "tie_last_hidden_states": refused(
        FLAG, (True,), f"hidden states before the last normalisation. {_NO_SUCH}"
    ),
    "quantization_config": refused(
        ANY, ({},), "weights in a packed form. Save the model unpacked (float32 or bfloat16)."
    ),
    "auto_map": noted(
        ANY, ({},), "code of the model's own, which is never run: BERT's is used in its place."
    ),
    # Whether the output matrix is a weight of its own is seen in the weights.
    **idle("tie_word_embeddings", form=FLAG),
    # transformers goes by id2label alone.
    **idle("label2id"),
    # How transformers computes and what it returns besides; no number changes.
    **idle(
        "use_cache", "output_attentions", "output_hidden_states", "return_dict", "torchscript",
        "chunk_size_feed_forward", "gradient_checkpointing", "use_bfloat16", "tf_legacy_loss",
        "_attn_implementation", "_attn_implementation_autoset", "attn_implementation",
        "_experts_implementation", "output_past", "cross_attention_hidden_size",
        "torch_dtype", "dtype",
    ),
    # Of texts that a model writes.
    **idle(
        "bos_token_id", "eos_token_id", "sep_token_id", "decoder_start_token_id", "max_length",
        "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups",
        "diversity_penalty", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty",
        "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids",
        "num_return_sequences", "output_scores", "return_dict_in_generate", "forced_bos_token_id",
        "forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty",
        "suppress_tokens", "begin_suppress_tokens",
    ),
    # Where it came from, and what other programs note.
    **idle(
        "_name_or_path", "name_or_path", "_commit_hash", "transformers_version", "__version__",
        "finetuning_task", "task_specific_params", "prefix", "_num_labels", "language",
        "model_name", "base_model_name", "gluonnlp",
    ),
    # Google's multilingual models have them; BERT never did anything with them.
    **idle(
        "directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers",
        "pooler_size_per_head", "pooler_type", "attention_dropout", "embedding_size",
    ),
}  # fmt: skip


def activation_of(values: Mapping[str, Any], classes: int = 1) -> str | None:
    """The function that makes a CrossEncoder's scores of logits; None for what is not one's.

    Where a CrossEncoder's config names none, it has its default.

    Args:
        values: the keys of a config.
        classes: C, of the model.
    """
    if not any(key in values for key in ACTIVATION_KEYS):
        return None
    new, old = (values.get(key) for key in ACTIVATION_KEYS)
    usual = "torch.nn.modules.activation.Sigmoid" if classes == 1 else "torch.nn.Identity"
    return str((new or {}).get("activation_fn") or old or usual)


def without_activation(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a config but for those of the activation: what is trained here has none."""
    return {key: value for key, value in values.items() if key not in ACTIVATION_KEYS}
