"""Texts to labels, tags and answers."""

from __future__ import annotations

import dataclasses
from typing import Any, TypedDict, Unpack, overload

import torch

from plainbert import arguments, evaluation
from plainbert.errors import UsageError
from plainbert.model.portable import Portable
from plainbert.model.results import Results
from plainbert.tables.rows import scored
from plainbert.tasks.classification import predict as classification
from plainbert.tasks.classification.decode import Prediction
from plainbert.tasks.ner import predict as tagging
from plainbert.tasks.ner.decode import Tagging
from plainbert.tasks.ner.tags import TagSet
from plainbert.tasks.squad.decode import Answer
from plainbert.tasks.squad.predict import ask_with, paired
from plainbert.text.inputs import MOST_TEXTS, Many, Texts, texts_of

# The flags of the command, by the names that the library has for them.
FLAGS = {
    "n_best_size": "n_best",
    "null_score_diff_threshold": "null_threshold",
    "version_2": "null",
    "show_progress_bar": "bar",
}


class Options(TypedDict, total=False):
    """Keywords that all methods have."""

    max_len: int | None
    bar: bool
    batch_size: int | None
    device: torch.device | str | None
    show_progress_bar: bool | None


class PredictOptions(Options, total=False):
    """Keywords of :meth:`Predicts.predict`."""

    pairs: bool


class TagOptions(Options, total=False):
    """Keywords of :meth:`Predicts.tag`."""

    words: bool


class Predicts(Portable):
    """What a model says about texts, with the head that it was fine-tuned with."""

    @overload
    def predict(
        self, texts: str, *, top_k: None = ..., **options: Unpack[PredictOptions]
    ) -> Prediction: ...
    @overload
    def predict(
        self, texts: Many, *, top_k: None = ..., **options: Unpack[PredictOptions]
    ) -> Results[Prediction]: ...
    @overload
    def predict(
        self, texts: str, *, top_k: int, **options: Unpack[PredictOptions]
    ) -> Results[Prediction]: ...
    @overload
    def predict(
        self, texts: Many, *, top_k: int, **options: Unpack[PredictOptions]
    ) -> list[Results[Prediction]]: ...
    def predict(
        self,
        texts: Texts,
        *,
        top_k: int | None = None,
        max_len: int | None = None,
        bar: bool = False,
        pairs: bool = False,
        batch_size: int | None = None,
        device: torch.device | str | None = None,
        show_progress_bar: bool | None = None,
    ) -> Prediction | Results[Prediction] | list[Results[Prediction]]:
        """Label and score of texts or pairs, with a fine-tuned classifier.

        ``pandas.DataFrame`` makes a table of the results, with the columns label and score; their
        ``probabilities`` are an array (N, C).

        Args:
            texts: a text, or several: a list, tuple, column or iterator of texts. A tuple inside is
                a pair; ``("a", "b")`` itself are two texts.
            top_k: give the so many most probable labels of every text, the best first.
            max_len: tokens kept per text; the folder's limit when not given.
            bar: show progress.
            pairs: every row is a pair, as a tuple or a list.
            batch_size: texts of ``max_len`` tokens that go through the model together, and more of
                shorter ones; what is fast when not given.
            device: move the model there first, as :meth:`to` does.
            show_progress_bar: show progress; another word for ``bar``.

        Raises:
            UsageError: the folder holds no classifier or regressor.
        """
        if device is not None:
            self.to(device)
        if top_k is not None:
            arguments.whole("top_k", top_k)
        limit = self._limit(max_len)
        rows = texts_of(texts, most=MOST_TEXTS, grouped=arguments.whether("pairs", pairs))
        predictions = classification.predict(
            self.model,
            self.tokenizer,
            rows,
            self.labels,
            limit,
            name=str(self.checkpoint.folder),
            tokens_per_batch=self._tokens(batch_size, limit),
            bar=bar or bool(show_progress_bar),
            trained_on=self.checkpoint.about.get("texts"),
        )
        if top_k is None:
            return predictions[0] if isinstance(texts, str) else Results(predictions)
        if self.head == "regression":
            raise UsageError(f"top_k={top_k}: this model gives a number, which has no labels.")
        ranked = [Results(prediction.best(top_k)) for prediction in predictions]
        return ranked[0] if isinstance(texts, str) else ranked

    @property
    def tags(self) -> TagSet:
        """The tags of a fine-tuned tagger."""
        return TagSet.trained(self.labels, self.checkpoint.about.get("tag_scheme"))

    @overload
    def tag(self, texts: str, **options: Unpack[TagOptions]) -> Tagging: ...
    @overload
    def tag(self, texts: Many, **options: Unpack[TagOptions]) -> Results[Tagging]: ...
    def tag(
        self,
        texts: Texts,
        *,
        max_len: int | None = None,
        bar: bool = False,
        words: bool = False,
        batch_size: int | None = None,
        device: torch.device | str | None = None,
        show_progress_bar: bool | None = None,
    ) -> Tagging | Results[Tagging]:
        """Tags of words, and the entities they mark, with a fine-tuned tagger.

        Args:
            texts: a text, or several: a list, tuple, column or iterator of texts. A tuple inside
                are the words of a sentence; ``("a", "b")`` itself are two texts.
            max_len: tokens seen at a time; the folder's limit when not given. Longer texts are
                read in windows that overlap.
            bar: show progress.
            words: every row is a sentence that is split already, as a tuple or a list of words.
            batch_size: windows of ``max_len`` tokens that go through the model together, and more
                of shorter ones; what is fast when not given.
            device: move the model there first, as :meth:`to` does.
            show_progress_bar: show progress; another word for ``bar``.

        Returns:
            words and entities; several make a table with ``to_frame()``, a row for each entity.

        Raises:
            UsageError: the folder holds no tagger.
        """
        if device is not None:
            self.to(device)
        limit = self._limit(max_len)
        rows = texts_of(texts, grouped=arguments.whether("words", words), keyword="words")
        taggings = tagging.tag(
            self.model,
            self.tokenizer,
            rows,
            self.tags,
            limit,
            bar or bool(show_progress_bar),
            self._tokens(batch_size, limit),
        )
        return taggings[0] if isinstance(texts, str) else Results(taggings)

    @overload
    def answer(self, question: str, context: str, **options: Any) -> Answer: ...
    @overload
    def answer(self, question: Many, context: Texts, **options: Any) -> Results[Answer]: ...
    def answer(self, question: Texts, context: Texts, **options: Any) -> Answer | Results[Answer]:
        """Find answers in texts of any length, with a model fine-tuned on SQuAD.

        Args:
            question: one, or several: a list, tuple, column or iterator.
            context: the text of each question, or one for all.
            options: keywords of :func:`plainbert.tasks.squad.predict.ask_with`, such as
                ``max_answer_length``, or the flags of the command, such as ``n_best_size``;
                ``top_k``: how many candidates each answer keeps; ``batch_size``, ``device`` and
                ``show_progress_bar`` as in :meth:`predict`.

        Raises:
            UsageError: the folder holds no such model, or there is no such option.
        """
        for flag, name in FLAGS.items():
            if flag in options:
                if name in options:
                    raise UsageError(f"{flag} and {name} are the same: give one of them.")
                options[name] = options.pop(flag)
        if (device := options.pop("device", None)) is not None:
            self.to(device)
        batch_size, top_k = options.pop("batch_size", None), options.pop("top_k", None)
        if batch_size is not None:
            options["tokens_per_batch"] = self._tokens(batch_size, self.max_len)
        count = None if top_k is None else arguments.whole("top_k", top_k)
        questions, about = paired(question, context), self.checkpoint.about
        answers = ask_with(self.model, self.tokenizer, questions, about, self.max_len, **options)
        if count is not None:
            answers = [dataclasses.replace(one, nbest=one.nbest[:count]) for one in answers]
        return answers[0] if isinstance(question, str) else Results(answers)

    def evaluate(
        self,
        data: Any,
        text: Any = None,
        label: Any = None,
        *,
        max_len: int | None = None,
        bar: bool = False,
        show_progress_bar: bool | None = None,
    ) -> dict[str, Any]:
        """Scores on labelled rows, as the command ``evaluate`` computes them.

        Args:
            data: a file, a list of dicts, a list of (text, label) tuples, a dict or a pair of
                lists, a DataFrame or a Dataset; of words and tags for a tagger; of questions,
                contexts and answers for a model that answers.
            text: column of the text, or two columns of a pair; "text" or another usual name when
                not given. For a tagger the column of the words.
            label: column of the label, "label" when not given. For a tagger that of the tags.
            max_len: tokens kept per text; the folder's limit when not given.
            bar: show progress.
            show_progress_bar: show progress; another word for ``bar``.

        Returns:
            metric to score; of a classifier or tagger also "by_label", with precision, recall, f1
            and support of every label, and "rows", their number.

        Raises:
            UsageError: the model has no head that could be scored, or the data cannot be used.
            DataError: a row has a label that the model does not know.
        """
        rows, gold = scored(self.head, data, text, label)
        if gold is not None:
            gold = [one if isinstance(one, tuple) else str(one) for one in gold]
        result = evaluation.evaluate(
            self, rows, gold, max_len=max_len, bar=bar or bool(show_progress_bar)
        )
        tables = {"by_label": result.by_label} if result.by_label else {}
        return {**result.scores, **tables, "rows": result.rows}
