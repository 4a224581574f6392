"""A model and its tokenizer behind one object: text in, vectors or labels out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import torch

from plainbert import arguments
from plainbert.batching.features import Features
from plainbert.checkpoint import Checkpoint
from plainbert.errors import UsageError
from plainbert.infer.devices import pick_device
from plainbert.infer.precision import Precision, choose_precision
from plainbert.infer.prepare import prepare
from plainbert.model_zoo import best_of_run, open_folder
from plainbert.nn.bert import Bert
from plainbert.nn.devices import device_of
from plainbert.nn.headed import Headed
from plainbert.nn.pooling import Pooling
from plainbert.tasks.classification import predict as classification
from plainbert.tasks.classification.decode import Prediction
from plainbert.tasks.embedding import encode as embedding
from plainbert.tasks.embedding.encode import Vectors, pooling_of
from plainbert.tasks.ner import predict as tagging
from plainbert.tasks.ner.decode import Tagging
from plainbert.tasks.ner.tags import TagSet
from plainbert.tasks.squad.decode import Answer
from plainbert.tasks.squad.predict import Texts, ask_with, paired
from plainbert.text.inputs import MOST_TEXTS, texts_of
from plainbert.text.tokenizer import Tokenizer

Text = str | tuple[str, ...]  # a text, or a pair
Many = list[Text] | list[str] | list[tuple[str, ...]]


class Model:
    """A prepared model, its tokenizer, and what its folder says about how to use them.

    Args:
        model: on its device and in its precision, as :func:`plainbert.infer.prepare.prepare` leaves
            it.
        tokenizer: the one that the model was trained with.
        checkpoint: its folder.
        device: where the model is.
    """

    def __init__(
        self,
        model: Bert | Headed,
        tokenizer: Tokenizer,
        checkpoint: Checkpoint,
        device: torch.device,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.checkpoint = checkpoint
        self.device = device

    @property
    def body(self) -> Bert:
        """The encoder without its head."""
        return self.model if isinstance(self.model, Bert) else self.model.bert

    @property
    def max_len(self) -> int:
        """Tokens kept per text: the folder's limit, or the model's positions."""
        most = self.model.config.max_position_embeddings
        return min(self.checkpoint.max_length or most, most)

    def _limit(self, max_len: int | None) -> int:
        """Tokens kept per text: what a caller says, else what the folder does."""
        return self.max_len if max_len is None else arguments.whole("max_len", max_len)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes by id."""
        names = self.model.config.id2label
        return names or tuple(f"LABEL_{row}" for row in range(self.model.config.num_labels))

    def tokenize(self, text: str) -> list[str]:
        """Sub-words of a text, without [CLS] and [SEP]."""
        return self.tokenizer.tokenize(arguments.text("text", text))

    def pooling(
        self,
        strategy: str | None = None,
        layers: Sequence[int] | int = (-1,),
        mask_cls_sep: bool = False,
        normalize: bool | None = None,
    ) -> Pooling:
        """How to pool; see :func:`plainbert.tasks.embedding.encode.pooling_of`."""
        return pooling_of(self.checkpoint, strategy, layers, mask_cls_sep, normalize)

    def encode(
        self,
        texts: Text | Sequence[Text],
        *,
        pooling_strategy: str | None = None,
        pooling_layer: Sequence[int] | int = (-1,),
        mask_cls_sep: bool = False,
        normalize: bool | None = None,
        max_len: int | None = None,
        num_workers: int = 0,
        bar: bool = False,
        prompt: str | None = None,
        prompt_name: str | None = None,
    ) -> Vectors:
        """One vector per text, float32, in the order of the texts.

        Args:
            texts: a text, a pair as a tuple, or a list of either.
            pooling_strategy: how token vectors become one, such as "mean" or "cls"; the folder's
                own when not given.
            pooling_layer: layers counted from the end; several are joined end to end.
            mask_cls_sep: leave [CLS] and [SEP] out, of attention and of pooling.
            normalize: whether vectors get length 1; as the folder says when not given.
            max_len: tokens kept per text; the folder's limit when not given.
            num_workers: processes that tokenise; 0 does it in this one.
            bar: show progress.
            prompt: text put before each; the folder's default prompt when not given.
            prompt_name: one of the folder's prompts, such as "query", in its place.

        Returns:
            (N, D'), or (D',) for one text.
        """
        pooling = self.pooling(pooling_strategy, pooling_layer, mask_cls_sep, normalize)
        rows = embedding.prompted(_rows(texts), self.checkpoint, prompt, prompt_name)
        parts = (self.body, self.tokenizer, rows, pooling)
        limit = self._limit(max_len)
        vectors = embedding.encode(*parts, max_len=limit, num_workers=num_workers, bar=bar)
        vectors = vectors[:, : embedding.kept_numbers(self.checkpoint.sentence, pooling)]
        return vectors[0] if _is_one(texts) else vectors

    def encode_tokens(
        self,
        texts: Sequence[Text],
        *,
        pooling_strategy: str = "NONE",
        pooling_layer: Sequence[int] | int = (-1,),
        mask_cls_sep: bool = False,
        normalize: bool | None = None,
        max_len: int | None = None,
        bar: bool = False,
        prompt: str | None = None,
        prompt_name: str | None = None,
    ) -> list[Vectors]:
        """The vectors of each text's tokens, [CLS] and [SEP] included.

        Args:
            texts: texts, or pairs.
            pooling_strategy: NONE, the only one that is none.
            pooling_layer: layers counted from the end; several are joined end to end.
            mask_cls_sep: hide [CLS] and [SEP] from attention; their vectors are zero.
            normalize: whether every token's vector gets length 1; None does not.
            max_len: tokens kept per text.
            bar: show progress.
            prompt: text put before each; the folder's default prompt when not given.
            prompt_name: one of the folder's prompts, such as "query", in its place.

        Returns:
            for each text (L, D'), float32.
        """
        pooling = self.pooling(pooling_strategy, pooling_layer, mask_cls_sep, bool(normalize))
        rows = embedding.prompted(_rows(texts), self.checkpoint, prompt, prompt_name)
        parts = (self.body, self.tokenizer, rows, pooling)
        return embedding.encode_tokens(*parts, max_len=self._limit(max_len), bar=bar)[1]

    @overload
    def predict(self, texts: Text, *, max_len: int | None = ..., bar: bool = ...) -> Prediction: ...
    @overload
    def predict(
        self, texts: Many, *, max_len: int | None = ..., bar: bool = ...
    ) -> list[Prediction]: ...
    def predict(
        self, texts: Text | Sequence[Text], *, max_len: int | None = None, bar: bool = False
    ) -> Prediction | list[Prediction]:
        """Label and probabilities of texts or pairs, with a fine-tuned classifier.

        Args:
            texts: a text, a pair as a tuple, or a list of either.
            max_len: tokens kept per text; the folder's limit when not given.
            bar: show progress.

        Raises:
            UsageError: the folder holds no classifier or regressor.
        """
        limit, name = self._limit(max_len), str(self.checkpoint.folder)
        predictions = classification.predict(
            self.model, self.tokenizer, _rows(texts), self.labels, limit, name=name, bar=bar
        )
        return predictions[0] if _is_one(texts) else predictions

    @property
    def tags(self) -> TagSet:
        """The tags of a fine-tuned tagger."""
        return TagSet.trained(self.labels, self.checkpoint.about.get("tag_scheme"))

    @overload
    def tag(self, texts: Text, *, max_len: int | None = ..., bar: bool = ...) -> Tagging: ...
    @overload
    def tag(self, texts: Many, *, max_len: int | None = ..., bar: bool = ...) -> list[Tagging]: ...
    def tag(
        self, texts: Text | Many, *, max_len: int | None = None, bar: bool = False
    ) -> Tagging | list[Tagging]:
        """Tags of words, and the entities they mark, with a fine-tuned tagger.

        Args:
            texts: a text, the words of a sentence as a tuple, or a list of either.
            max_len: tokens seen at a time; the folder's limit when not given. Longer texts are
                read in windows that overlap.
            bar: show progress.

        Raises:
            UsageError: the folder holds no tagger.
        """
        limit = self._limit(max_len)
        taggings = tagging.tag(self.model, self.tokenizer, texts_of(texts), self.tags, limit, bar)
        return taggings[0] if _is_one(texts) else taggings

    @overload
    def answer(self, question: str, context: str, **options: Any) -> Answer: ...
    @overload
    def answer(self, question: list[str], context: Texts, **options: Any) -> list[Answer]: ...
    def answer(self, question: Texts, context: Texts, **options: Any) -> Answer | list[Answer]:
        """Find answers in texts of any length, with a model fine-tuned on SQuAD.

        Args:
            question: one, or a list.
            context: the text of each question, or one for all.
            options: keywords of :func:`plainbert.tasks.squad.predict.ask_with`, such as
                ``max_answer_length``.

        Raises:
            UsageError: the folder holds no such model, or there is no such option.
        """
        questions, about = paired(question, context), self.checkpoint.about
        answers = ask_with(self.model, self.tokenizer, questions, about, self.max_len, **options)
        return answers[0] if isinstance(question, str) else answers

    def features(
        self, texts: Sequence[Text], max_len: int | None = None, bar: bool = False
    ) -> Features:
        """Texts as ids; a warning says how many were cut."""
        limit = self._limit(max_len)
        return embedding.prepare(self.model, self.tokenizer, _rows(texts), limit, bar=bar)


def _rows(texts: Text | Sequence[Text]) -> list[Text]:
    """Texts and pairs; a tuple of many texts is taken for a mistake, not for one row."""
    return texts_of(texts, most=MOST_TEXTS)


def _is_one(texts: Text | Sequence[Text]) -> bool:
    return isinstance(texts, str | tuple)


def load(
    name_or_folder: str | Path,
    *,
    dtype: str | Precision = "float32",
    device: torch.device | str | None = None,
    lower: bool | None = None,
    root: str | Path | None = None,
    tokenizer: Tokenizer | None = None,
    labels: Sequence[str] | None = None,
    dataset_name: str | None = None,
) -> Model:
    """Open a model for inference.

    Args:
        name_or_folder: a folder or file of any format, the folder of a run (its best model, else
            its last), or a name such as "all-MiniLM-L6-v2" or "google-bert/bert-base-cased".
        dtype: "float32", "bfloat16", "float16", or "auto": bfloat16 where hardware multiplies it.
        device: such as "cuda:0"; the accelerator if there is one, else the CPU, when not given.
        lower: whether to lower-case, for folders that do not say.
        root: download cache.
        tokenizer: instead of the folder's own.
        labels: names of the classes by id, for models that do not store them.
        dataset_name: what a GluonNLP or Google checkpoint without a vocabulary was trained on.

    Raises:
        UnknownNameError: neither a folder nor a known name.
        CheckpointError: the folder is incomplete.
        DownloadError: the name is known, but its files could not be found or downloaded.
    """
    place = pick_device() if device is None else device_of(device)
    if tokenizer is not None and not isinstance(tokenizer, Tokenizer):
        raise UsageError(f"tokenizer is {arguments.short(tokenizer)}; a Tokenizer is expected.")
    source = best_of_run(name_or_folder)
    opened = open_folder(source, labels=labels, lower=lower, root=root, dataset_name=dataset_name)
    precision = dtype if isinstance(dtype, Precision) else choose_precision(dtype, place)
    ready = prepare(opened.model, precision, place)
    return Model(ready, tokenizer or opened.tokenizer, opened.checkpoint, place)
