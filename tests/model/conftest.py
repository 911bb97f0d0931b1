"""The published implementation's dumps as a fixture."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dumps import Dump


@pytest.fixture
def published() -> Callable[[str], Dump]:
    """Opens a dump by name; the test is skipped where it is not there."""
    return Dump
