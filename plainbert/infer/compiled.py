"""How many compiled products a process keeps."""

from __future__ import annotations

import os

# Two caches, one of oneDNN and one of torch above it, which each thread has for itself. They are
# sized by these variables when the first product is compiled.
VARIABLES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
# A step uses up to about a hundred again and again: none of those is compiled anew.
MOST = 256


def keep_few() -> None:
    """Bound the memory of compiled 16-bit products, which else grows for thousands of steps.

    oneDNN compiles a product for every shape that it meets. By default 1,024 are kept in each
    cache, a quarter of a megabyte for each or more, of which most are of shapes that hardly ever
    come again. Results do not depend on it. Variables that the user has set are left as they are.

    Must be called before the first 16-bit product of the process; later it has no effect.
    """
    for name in VARIABLES:
        os.environ.setdefault(name, str(MOST))
