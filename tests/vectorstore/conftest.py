"""What tests of documents and searches share."""

from __future__ import annotations

import pytest

from llmops.home import Home
from llmops.testing import HashEncoder


@pytest.fixture
def quick(store_home: Home) -> Home:
    """A home, once for each store, that embeds without a model."""
    store_home._encoder = HashEncoder()
    return store_home
