"""What the tests of the server share."""

from __future__ import annotations

import pytest
from support.serving import write_models


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Model files by name: toy, boxes and masks."""
    return write_models(tmp_path_factory.mktemp("models"))
