"""The limits: defaults, changes, the environment, and what a refusal says."""

from __future__ import annotations

import pytest

from mobilenet import limits as module
from mobilenet.errors import UsageError
from mobilenet.limits import Limits, limits, over_limit, parse_limits, set_limits


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(module, "_in_force", [])
    monkeypatch.delenv(module.VARIABLE, raising=False)


def test_defaults_changes_and_what_stays():
    assert limits() == Limits()
    assert set_limits(max_side=100).max_side == 100
    assert set_limits(max_madds=7) == Limits(max_side=100, max_madds=7) == limits()


def test_the_environment_counts_when_it_is_first_asked(monkeypatch):
    monkeypatch.setenv(module.VARIABLE, " max_side = 100 , max_json_depth=3,")
    assert limits() == Limits(max_side=100, max_json_depth=3)


@pytest.mark.parametrize(
    ("text", "words"),
    [("max_side", "must be name=integer"), ("max_side=-1", "must be name=integer"), ("max_side=1e3", "must be name=integer"),
     ("max_side=0", "at least 1"), ("maxside=5", "nearest: max_side"), (f"max_side={'9' * 10_000}", "must be name=integer")],
)  # fmt: skip
def test_nonsense_is_refused_in_one_line(text, words):
    with pytest.raises(UsageError, match=words) as refusal:
        parse_limits(text)
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("value", [0, -1, 2.0, True, "5", None])
def test_only_positive_integers(value):
    with pytest.raises(UsageError, match="limit max_side"):
        set_limits(max_side=value)
    assert limits() == Limits()


def test_a_refusal_names_the_limit_and_both_remedies():
    text = over_limit("max_side", 99999)
    assert text.startswith("99999 is past the limit max_side of 4096")
    assert "mobilenet.set_limits(max_side=...)" in text
    assert "MOBILENET_LIMITS=max_side=..." in text
