"""GluonNLP's ``get_model`` with its keyword arguments."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from plainbert import arguments, checkpoint
from plainbert.checkpoint.writer import check_vocabulary
from plainbert.config import BertConfig
from plainbert.errors import (
    CheckpointError,
    MissingHeadError,
    ShapeError,
    UnknownNameError,
    UsageError,
)
from plainbert.hub import records
from plainbert.model_zoo.find import resolve_record
from plainbert.model_zoo.folder import unfilled
from plainbert.model_zoo.stored import read_stored, tokenizer_of, vocabulary_of
from plainbert.nn.bert import Bert, Output
from plainbert.nn.devices import device_of
from plainbert.nn.headed import Headed
from plainbert.nn.models import MODELS
from plainbert.text import casing
from plainbert.text.reader import tokenizer_at
from plainbert.text.tokenizer import Tokenizer
from plainbert.text.vocab import Vocab
from plainbert.text.wordpiece import WordPiece

log = logging.getLogger(__name__)

# GluonNLP's names of what a size consists of, and ours.
HPARAMS = {
    "num_layers": "num_hidden_layers",
    "units": "hidden_size",
    "hidden_size": "intermediate_size",
    "num_heads": "num_attention_heads",
    "max_length": "max_position_embeddings",
    "token_type_vocab_size": "type_vocab_size",
    "layer_norm_eps": "layer_norm_eps",
    "activation": "hidden_act",
}


def get_model(
    name: str,
    dataset_name: str | None = None,
    vocab: Vocab | Tokenizer | str | Path | None = None,
    pretrained: bool = True,
    ctx: str | torch.device | None = None,
    root: str | Path | None = None,
    use_pooler: bool = True,
    use_decoder: bool = True,
    use_classifier: bool = True,
    pretrained_allow_missing: bool = False,
    output_attention: bool = False,
    output_all_encodings: bool = False,
    hparam_allow_override: bool = False,
    **hparams: Any,
) -> tuple[Bert | Headed, Tokenizer]:
    """GluonNLP's ``get_model``: a BERT of a named size, published or from scratch.

    Args:
        name: ``bert_LAYERS_UNITS_HEADS``; any size from scratch, the published ones pretrained.
        dataset_name: what it was trained on, see :func:`list_models`. Wins over ``vocab``.
        vocab: vocabulary of a model from scratch: a tokenizer, a Vocab (taken as lower-casing
            WordPiece), or a folder or file with one.
        pretrained: load published weights; False draws new ones.
        ctx: device, such as "cpu" or "cuda:0"; the CPU when not given.
        root: download cache; the Hub client's own when not given.
        use_pooler: have the tanh layer over [CLS].
        use_decoder: have the masked-word head.
        use_classifier: have the next-sentence head; needs the pooler.
        pretrained_allow_missing: draw heads new that the published weights lack; otherwise that
            is an error.
        output_attention: not supported: attention weights are never formed.
        output_all_encodings: return the embedding output and every layer's, as ``layers`` of the
            output. Only without decoder and classifier.
        hparam_allow_override: allow ``hparams`` other than the dropouts.
        hparams: ``dropout`` (attention and hidden), ``embed_dropout`` (must equal it),
            ``use_residual`` (must be true), and with ``hparam_allow_override`` GluonNLP's
            num_layers, units, hidden_size (of the feed-forward part), num_heads, max_length,
            token_type_vocab_size, layer_norm_eps, activation.

    Returns:
        the model, in evaluation mode (:class:`plainbert.nn.bert.Bert` without heads, else
        ``MaskedLM``, ``NextSentence`` or ``Pretraining`` of :mod:`plainbert.nn.models`), and its
        tokenizer, whose ``vocab`` is GluonNLP's second return value.

    Raises:
        UnknownNameError: no such size or data set.
        UsageError: arguments that do not go together.
        CheckpointError: the published weights lack a head that was asked for.
        DownloadError: the weights could not be found or downloaded.
    """
    arguments.text("the name of the model", name)
    if dataset_name is not None:
        arguments.text("dataset_name", dataset_name)
    records.refuse_others(name, dataset_name or "")
    record = records.by_name(f"{name}_{dataset_name}") or records.by_name(name)
    if record is not None and dataset_name in (None, record.dataset_name, *record.names):
        name, dataset_name = record.model, record.dataset_name
    head = _head_for(use_pooler, use_decoder, use_classifier)
    _check_outputs(head, output_attention, output_all_encodings)
    changes = _changes(hparams, hparam_allow_override)
    config = _named_size(name)
    record = records.find(name, dataset_name) if dataset_name is not None else None
    if record is not None and vocab is not None:
        log.warning("dataset_name=%r decides the vocabulary; vocab is not used", dataset_name)
    if record is None and pretrained:
        raise UsageError(
            f"pretrained=True needs dataset_name, one of: {', '.join(records.DATASET_NAMES)}. For "
            "a model from scratch pass pretrained=False and vocab."
        )
    tensors = None
    if record is not None and pretrained:
        stored = read_stored(resolve_record(record, root))
        if stored.config.size_name != name:
            held = stored.config.size_name
            raise CheckpointError(f"{stored.folder} holds a {held}, not a {name}.")
        tokenizer = tokenizer_of(stored, record=record, root=root)
        config, tensors = stored.config.replace(**changes), stored.tensors()
    else:
        tokenizer = vocabulary_of(record, root) if record is not None else _own_tokenizer(vocab)
        own = record.config if record is not None else {}
        config = config.replace(vocab_size=len(tokenizer.vocab), **{**own, **changes})
    check_vocabulary(len(tokenizer.vocab), config.vocab_size, name)
    model = _zoo_model(config, head, use_pooler, output_all_encodings, tensors is not None)
    if tensors is not None:
        _load_published(model, tensors, pretrained_allow_missing, f"{name} {dataset_name}")
    return model.to(device_of("cpu" if ctx is None else ctx, "ctx")).eval(), tokenizer


def new_model(name: str, tokenizer: Tokenizer, head: str, **changes: Any) -> Headed:
    """A model with random weights.

    Args:
        name: its size, ``bert_LAYERS_UNITS_HEADS``.
        tokenizer: its vocabulary decides the rows of the word embedding.
        head: a name of :data:`plainbert.nn.names.HEADS`.
        changes: fields of the config to change, such as ``hidden_dropout_prob=0.0``.

    Raises:
        UnknownNameError: no such size.
    """
    config = _named_size(name).replace(vocab_size=len(tokenizer.vocab), **changes)
    return cast(Any, MODELS[head])(config)


class _AllEncodings(Bert):
    """A BERT that always returns every layer."""

    def forward(self, *args: Any, **kwargs: Any) -> Output:
        return super().forward(*args, **{**kwargs, "every_layer": True})


def _zoo_model(
    config: BertConfig, head: str, pooler: bool, every_layer: bool, published: bool
) -> Bert | Headed:
    if published and not every_layer:
        return unfilled(config, head, pooler, {})
    if head == "embedding":
        return (_AllEncodings if every_layer else Bert)(config, pooler=pooler)
    model: Headed = cast(Any, MODELS[head])(config)
    return model


def _load_published(
    model: Bert | Headed, tensors: dict[str, Tensor], allow_missing: bool, source: str
) -> None:
    try:
        checkpoint.load(model, tensors, allow_missing, source=source)
    except MissingHeadError as error:
        raise MissingHeadError(
            f"{error} Or ask for less with use_pooler=False, use_decoder=False or "
            "use_classifier=False, or draw it new with pretrained_allow_missing=True."
        ) from None


def _named_size(name: str) -> BertConfig:
    try:
        return BertConfig.from_name(name)
    except ShapeError as error:
        raise UnknownNameError(
            "model", name, records.MODEL_NAMES, f"From scratch, any size: {error}"
        ) from None


def _head_for(use_pooler: bool, use_decoder: bool, use_classifier: bool) -> str:
    if use_classifier and not use_pooler:
        raise UsageError("use_classifier=True needs use_pooler=True: it reads the pooled vector.")
    names = {
        (True, True): "pretraining",
        (True, False): "masked_lm",
        (False, True): "next_sentence",
    }
    return names.get((use_decoder, use_classifier), "embedding")


def _check_outputs(head: str, attention: bool, every_layer: bool) -> None:
    if attention:
        raise UsageError(
            "output_attention=True is not supported: the attention kernels never form the "
            "weights. Open the same folder with transformers and attn_implementation='eager'."
        )
    if every_layer and head != "embedding":
        raise UsageError(
            "output_all_encodings=True goes with use_decoder=False and use_classifier=False."
        )


def _changes(hparams: dict[str, Any], allow: bool) -> dict[str, Any]:
    """Fields of the config that GluonNLP's overrides stand for."""
    options = dict(hparams)
    if not options.pop("use_residual", True):
        raise UsageError("use_residual=False is not supported: BERT has residual connections.")
    if options.pop("word_embed", None) is not None:
        raise UsageError("word_embed is not supported: load weights into the model instead.")
    dropout, embed = options.pop("dropout", None), options.pop("embed_dropout", None)
    if embed is not None and embed != dropout:
        raise UsageError(f"embed_dropout={embed} must equal dropout={dropout}: there is one rate.")
    changes: dict[str, Any] = {}
    if dropout is not None:
        arguments.number("dropout", dropout)
        changes = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    if options and not allow:
        raise UsageError(
            f"{', '.join(options)}: the named sizes are fixed. Pass hparam_allow_override=True, or "
            "a name such as bert_4_256_4."
        )
    for key, value in options.items():
        if key not in HPARAMS:
            raise UnknownNameError("hyper-parameter", key, [*HPARAMS, "dropout", "embed_dropout"])
        changes[HPARAMS[key]] = value
    return changes


def _own_tokenizer(vocab: Vocab | Tokenizer | str | Path | None) -> Tokenizer:
    if isinstance(vocab, Tokenizer):
        return vocab
    if isinstance(vocab, Vocab):
        return WordPiece(vocab, lower=casing.of_tokens(vocab.tokens) is not False)
    if vocab is None:
        raise UsageError("A model from scratch needs a vocabulary: pass vocab or dataset_name.")
    return tokenizer_at(arguments.path("vocab", vocab))
