"""How far two float32 computations of the same numbers may lie apart: a bound, not a taste."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from plainbert.config import BertConfig

EPS = 2.0**-23  # of float32
# The largest difference of two orders of summation, in units of eps * root of the terms * values,
# was 2.2 for 600 BERTs of random weights on two sets of instructions; the median was below 0.7.
MARGIN = 4


def rounding(terms: int, values: ArrayLike = 1.0) -> float:
    """The absolute tolerance for two computations that differ in the order of their sums.

    Each term that is added rounds by up to half an eps of the sum, up or down as it happens, so
    that errors grow like a random walk, with the root of their number. What the order is depends
    on the processor: on how many numbers it adds at a time, and in how many sums.

    Args:
        terms: numbers that are added one after another on the way to one result.
        values: what is compared, or its magnitude: the largest absolute value counts.
    """
    return MARGIN * EPS * math.sqrt(terms) * float(np.abs(np.asarray(values)).max())


def terms_of(config: BertConfig) -> int:
    """Terms on the way through a BERT with a head: products, attention, norms, at full length."""
    width = config.hidden_size
    attention = width + width // config.num_attention_heads + config.max_position_embeddings + width
    norms, feed_forward = 2 * width, width + config.intermediate_size
    return config.num_hidden_layers * (attention + norms + feed_forward) + 2 * width
