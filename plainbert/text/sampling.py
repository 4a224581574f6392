"""Sampling among the segmentations of a word, as a regulariser in training.

The library's own sampler cannot be seeded so that two processes agree, hence these few lines.

Source:
    Kudo 2018 (arXiv:1804.10959), section 3; Provilkov et al. 2020 (arXiv:1910.13267) for BPE.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from plainbert.text import sentencepiece_model as spm

_UNKNOWN_PENALTY = 10.0  # as in google/sentencepiece, src/unigram_model.cc


class Segmenter:
    """Draws one segmentation of a word.

    Args:
        model: a unigram or BPE model.
        alpha: unigram: exponent of the probabilities (0 = uniform, large = the best one only);
            BPE: share of merges that are left out.
        random_state: where the random numbers come from.
    """

    def __init__(
        self, model: spm.SentencePieceModel, alpha: float, random_state: random.Random
    ) -> None:
        usable = (spm.NORMAL, spm.USER_DEFINED)
        self._rows = {p.text: row for row, p in enumerate(model.pieces) if p.kind in usable}
        self._scores = [piece.score for piece in model.pieces]
        normal = [piece.score for piece in model.pieces if piece.kind == spm.NORMAL]
        self._unknown = model.unk_id
        self._scores[model.unk_id] = min(normal, default=0.0) - _UNKNOWN_PENALTY
        self._longest = max(map(len, self._rows), default=1)
        self._alpha = alpha
        self._random = random_state

    def of_best(self, candidates: Sequence[Sequence[int]]) -> list[int]:
        """Draw from the given segmentations, each with weight probability ** alpha."""
        totals = [self._alpha * sum(self._scores[row] for row in ids) for ids in candidates]
        top = max(totals)
        weights = [math.exp(total - top) for total in totals]
        return list(self._random.choices(candidates, weights)[0])

    def of_all(self, word: str) -> list[int]:
        """Draw from all segmentations: sums forward, then draws from the end backward.

        Args:
            word: normalised, with its leading mark.
        """
        size = len(word)
        total = [0.0] + [-math.inf] * size  # log of the summed weights of all ways to get here
        arcs: list[list[tuple[int, int, float]]] = [[] for _ in range(size + 1)]
        for end in range(1, size + 1):
            for start in range(max(0, end - self._longest), end):
                row = self._rows.get(word[start:end])
                if row is None and end - start == 1:
                    row = self._unknown
                if row is not None:
                    weight = total[start] + self._alpha * self._scores[row]
                    arcs[end].append((start, row, weight))
            top = max(weight for *_, weight in arcs[end])
            summed = sum(math.exp(weight - top) for *_, weight in arcs[end])
            total[end] = top + math.log(summed)
        ids, end = [], size
        while end:
            weights = [math.exp(weight - total[end]) for *_, weight in arcs[end]]
            end, row, _ = self._random.choices(arcs[end], weights)[0]
            ids.append(row)
        return self._fused(ids[::-1])

    def of_merges(self, word: str) -> list[int]:
        """BPE with dropout: at every step each possible merge is left out with chance alpha.

        Args:
            word: normalised, with its leading mark.
        """
        symbols = list(word)
        while True:
            merges = [
                (-self._scores[self._rows[pair]], at)
                for at in range(len(symbols) - 1)
                if (pair := symbols[at] + symbols[at + 1]) in self._rows
                and self._random.random() >= self._alpha
            ]
            if not merges:
                return self._fused([self._rows.get(text, self._unknown) for text in symbols])
            _, at = min(merges)
            symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]

    def _fused(self, ids: list[int]) -> list[int]:
        """Neighbouring unknown characters are one unknown piece, as in the library."""
        return [
            row
            for at, row in enumerate(ids)
            if row != self._unknown or at == 0 or ids[at - 1] != self._unknown
        ]
