"""The frame around a question on the command line."""

from __future__ import annotations

import gc

import pytest

from ragyena.cli.ask import opening


def test_the_garbage_collector_rests_only_while_index_and_reader_are_opened() -> None:
    with opening(quiet=True):
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="no index"), opening(quiet=True):
        raise ValueError("no index")
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with opening(quiet=True):
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
