"""The suite that needs root, ``ip netns`` and Open MPI: ``make test-hosts``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.hosts import Hosts


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    """Two emulated hosts, removed afterwards with all that runs there."""
    with Hosts() as both:
        yield both
