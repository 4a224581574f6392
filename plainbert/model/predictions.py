"""Texts to labels, tags and answers."""

from __future__ import annotations

from typing import Any, overload

from plainbert.model.base import Base
from plainbert.tasks.classification import predict as classification
from plainbert.tasks.classification.decode import Prediction
from plainbert.tasks.ner import predict as tagging
from plainbert.tasks.ner.decode import Tagging
from plainbert.tasks.ner.tags import TagSet
from plainbert.tasks.squad.decode import Answer
from plainbert.tasks.squad.predict import ask_with, paired
from plainbert.text.inputs import MOST_TEXTS, Many, Texts, texts_of


class Predicts(Base):
    """What a model says about texts, with the head that it was fine-tuned with."""

    @overload
    def predict(
        self, texts: str, *, max_len: int | None = ..., bar: bool = ..., pairs: bool = ...
    ) -> Prediction: ...
    @overload
    def predict(
        self, texts: Many, *, max_len: int | None = ..., bar: bool = ..., pairs: bool = ...
    ) -> list[Prediction]: ...
    def predict(
        self, texts: Texts, *, max_len: int | None = None, bar: bool = False, pairs: bool = False
    ) -> Prediction | list[Prediction]:
        """Label and probabilities of texts or pairs, with a fine-tuned classifier.

        Args:
            texts: a text, or several: a list, tuple, column or iterator of texts. A tuple inside is
                a pair; ``("a", "b")`` itself are two texts.
            max_len: tokens kept per text; the folder's limit when not given.
            bar: show progress.
            pairs: every row is a pair, as a tuple or a list.

        Raises:
            UsageError: the folder holds no classifier or regressor.
        """
        limit, name = self._limit(max_len), str(self.checkpoint.folder)
        rows = texts_of(texts, most=MOST_TEXTS, grouped=pairs)
        predictions = classification.predict(
            self.model, self.tokenizer, rows, self.labels, limit, name=name, bar=bar
        )
        return predictions[0] if isinstance(texts, str) else predictions

    @property
    def tags(self) -> TagSet:
        """The tags of a fine-tuned tagger."""
        return TagSet.trained(self.labels, self.checkpoint.about.get("tag_scheme"))

    @overload
    def tag(
        self, texts: str, *, max_len: int | None = ..., bar: bool = ..., words: bool = ...
    ) -> Tagging: ...
    @overload
    def tag(
        self, texts: Many, *, max_len: int | None = ..., bar: bool = ..., words: bool = ...
    ) -> list[Tagging]: ...
    def tag(
        self, texts: Texts, *, max_len: int | None = None, bar: bool = False, words: bool = False
    ) -> Tagging | list[Tagging]:
        """Tags of words, and the entities they mark, with a fine-tuned tagger.

        Args:
            texts: a text, or several: a list, tuple, column or iterator of texts. A tuple inside
                are the words of a sentence; ``("a", "b")`` itself are two texts.
            max_len: tokens seen at a time; the folder's limit when not given. Longer texts are
                read in windows that overlap.
            bar: show progress.
            words: every row is a sentence that is split already, as a tuple or a list of words.

        Raises:
            UsageError: the folder holds no tagger.
        """
        limit = self._limit(max_len)
        rows = texts_of(texts, grouped=words, keyword="words")
        taggings = tagging.tag(self.model, self.tokenizer, rows, self.tags, limit, bar)
        return taggings[0] if isinstance(texts, str) else taggings

    @overload
    def answer(self, question: str, context: str, **options: Any) -> Answer: ...
    @overload
    def answer(self, question: Many, context: Texts, **options: Any) -> list[Answer]: ...
    def answer(self, question: Texts, context: Texts, **options: Any) -> Answer | list[Answer]:
        """Find answers in texts of any length, with a model fine-tuned on SQuAD.

        Args:
            question: one, or several: a list, tuple, column or iterator.
            context: the text of each question, or one for all.
            options: keywords of :func:`plainbert.tasks.squad.predict.ask_with`, such as
                ``max_answer_length``.

        Raises:
            UsageError: the folder holds no such model, or there is no such option.
        """
        questions, about = paired(question, context), self.checkpoint.about
        answers = ask_with(self.model, self.tokenizer, questions, about, self.max_len, **options)
        return answers[0] if isinstance(question, str) else answers
