"""The garbage collector rests while things are loaded, and comes back as it was."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from mobilenet.collector import uncollected


@pytest.fixture(autouse=True)
def working():
    gc.enable()
    yield
    gc.enable()


def test_it_rests_and_comes_back():
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()


def test_it_comes_back_after_an_error():
    with pytest.raises(KeyError), uncollected():
        raise KeyError
    assert gc.isenabled()


def test_what_was_made_is_still_collected():
    class Loop:
        pass

    gc.collect()
    with uncollected():
        for _ in range(10):
            loop = Loop()
            loop.self = loop
    del loop
    assert gc.collect() >= 10


@pytest.mark.parametrize(("torch", "frozen"), [("", True), ("sys.modules['torch'] = sys; ", False)])
def test_settled_things_stay_unless_torch_is_at_work(torch, frozen):
    code = f"import gc, sys; from mobilenet.collector import settle; {torch}settle(); print(gc.get_freeze_count() > 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(frozen)
