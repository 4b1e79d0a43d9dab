"""The limits: defaults, changes, the environment, and what a refusal says."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from mobilenet import limits as module
from mobilenet.errors import UsageError
from mobilenet.limits import Limits, limits, over_limit, parse_limits, set_limits

ROOT = Path(__file__).parents[1]


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


def documented() -> dict[str, str]:
    """The limits of the docstring, each with its sentence on one line."""
    text = (Limits.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.split(r"\n        (?=max_)", "\n" + text.rstrip())[1:]
    pairs = (entry.partition(": ") for entry in entries)
    return {name.strip(): " ".join(sentence.split()) for name, _, sentence in pairs}


def test_the_page_has_the_table_of_the_docstring():
    """If this fails, put what it prints into docs/limits.md."""
    rows = [f"| `{name}` | {getattr(Limits(), name):,} | {text} |" for name, text in documented().items()]
    table = "\n".join(["| Limit | Default | Of what |", "|---|---:|---|", *rows])
    assert table in (ROOT / "docs" / "limits.md").read_text("utf-8"), table


def test_every_limit_is_documented_and_read():
    source = "".join(
        path.read_text("utf-8") for path in (ROOT / "src" / "mobilenet").rglob("*.py") if path.name != "limits.py"
    ) + inspect.getsource(module.parse_json)
    for name in Limits.__dataclass_fields__:
        assert name in documented()
        assert f'"{name}"' in source or f"limits().{name}" in source, name
