"""The keys of the files that sentence-transformers adds to a model's folder.

``modules.json`` lists the steps; each has a folder with a ``config.json`` of its own.

Source:
    sentence-transformers 0.2 to 6: SentenceTransformer, CrossEncoder, Transformer, Pooling,
    Normalize, Dense.
"""

from __future__ import annotations

from plainbert.keys.schema import (
    ANY,
    FLAG,
    TEXT,
    Key,
    by_name,
    either,
    followed,
    idle,
    listed,
    maybe,
    noted,
    refused,
    whole,
)

# Until version 5 one flag per mode, since then one key. The modes are the same.
POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
LENGTH = whole(1)

MODULE: dict[str, Key] = {
    "type": followed(TEXT),
    "path": followed(TEXT),
    **idle("idx", "name"),
    "kwargs": noted(ANY, ([], {}), "arguments of calls, which nothing is done with."),
}

# config_sentence_transformers.json
MODEL: dict[str, Key] = {
    "prompts": followed(by_name(maybe(TEXT))),
    "default_prompt_name": followed(TEXT),
    "truncate_dim": followed(LENGTH),
    "model_type": followed(TEXT),
    "activation_fn": followed(TEXT),
    # How vectors are compared, not how they are made; kept on saving.
    "similarity_fn_name": followed(TEXT),
    **idle("__version__", "keep_in_fp32_modules"),
}

# sentence_bert_config.json
TRANSFORMER: dict[str, Key] = {
    "max_seq_length": followed(LENGTH),
    "do_lower_case": followed(FLAG),
    "transformer_task": followed(TEXT),
    # What the model's own class returns, by name; with BERT and texts there is one choice.
    **idle("modality_config", "module_output_name", "unpad_inputs", "architecture"),
    "processing_kwargs": noted(ANY, ({},), "arguments of the tokenizer, which are not followed."),
    "query_length": noted(ANY, (), "texts are all kept to max_seq_length."),
    "document_length": noted(ANY, (), "texts are all kept to max_seq_length."),
    **{
        name: refused(ANY, ({}, [], False), "a setting of models that look words up one by one.")
        for name in ("query_expansion", "attend_to_expansion_tokens", "skiplist_words")
    },
    **dict.fromkeys(
        ("model_args", "model_kwargs", "config_args", "config_kwargs"),
        refused(ANY, ({},), "arguments that change the model. Save the model with them instead."),
    ),
    **dict.fromkeys(
        ("tokenizer_args", "processor_kwargs", "tokenizer_name_or_path"),
        refused(ANY, ({},), "another tokenizer than the folder's. Save the model with it instead."),
    ),
}

# Of the step Pooling.
POOLING: dict[str, Key] = {
    **dict.fromkeys(POOLING_FLAGS, followed(FLAG)),
    "pooling_mode": followed(either(TEXT, listed(TEXT))),
    "include_prompt": followed(FLAG),
    **idle("word_embedding_dimension", "embedding_dimension", form=whole(1)),
}

# Of the step Normalize.
NORMALIZE: dict[str, Key] = {
    **dict.fromkeys(("module_input_name", "module_output_name"), followed(TEXT)),
}

# Steps that plainbert does not have are refused by their type: nobody reads their keys.
REFUSED_STEPS = ("Dense", "LayerNorm", "WeightedLayerPooling", "LSTM", "CNN", "BoW")
