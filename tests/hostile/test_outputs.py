"""Files that predict writes to and reads names from, damaged or made to harm: refused in one line, and left as they are."""

from __future__ import annotations

import csv
import io
import json

import pytest
from PIL import Image
from support.cli import run
from support.models import toy

from mobilenet import modelfile
from mobilenet.errors import MobilenetError
from mobilenet.predict.output import Output
from mobilenet.predict.rows import CSV_HEADER, as_cell, csv_lines, from_cell, may_be_cut, read_row
from mobilenet.predict.work import MAX_NAME, Entry
from mobilenet.values import replace

ANSWER = b'{"input": "a.png", "task": "classification", "predictions": []}\n'
DEEP = b"[" * 100_000
MINE = {
    "a line without its end": b"my only notes",
    "JSON without its end": b'{"name": "me"}',
    "bytes": bytes(range(9, 256)),
    "deep": DEEP,
    "deep lines": DEEP + b"\n",
    "another key": b'{"name": "me"}\n',
    "no object": b"[1, 2]\n",
    "numbers of many digits": b"1" * 5000 + b"\n",
    "an input that is no text": b'{"input": 3, "task": null}\n',
}


@pytest.mark.parametrize("kind", ["jsonl", "csv", "json", "parquet"])
@pytest.mark.parametrize("content", MINE.values(), ids=MINE)
def test_somebody_elses_file_is_left_as_it_is(kind, content, tmp_path):
    """`--resume` goes on with a file that a kill cut short; a file that is none of its own must not be cut."""
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    for name in ("x", "x.part") if kind in ("json", "parquet") else ("x",):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MobilenetError, match="no answer") as error:
            Output(str(tmp_path / "x"), kind, resume=True)
        assert str(error.value).isprintable()
        assert (tmp_path / name).read_bytes() == content
        (tmp_path / name).unlink()


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_every_cut_of_our_own_file_is_mended(kind, tmp_path):
    whole = ANSWER * 2 if kind == "jsonl" else (CSV_HEADER + csv_lines(Entry("a.png", "classification")) * 2).encode()
    ends = [0, *(i + 1 for i, byte in enumerate(whole) if byte == ord("\n"))]
    path = tmp_path / "x"
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        output = Output(str(path), kind, resume=True)
        assert len(output.held) == (max(sum(end <= cut for end in ends) - (2 if kind == "csv" else 1), 0) > 0)
        output.close(complete=False)
        assert path.read_bytes() == whole[: max(end for end in ends if end <= cut)]


def test_other_columns_in_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    for columns in ({"input": [1], "error": [None]}, {"input": [[1]]}, {"a": ["b"]}, {"input": [None], "error": ["x"]}):
        parquet.write_table(pyarrow.table(columns), tmp_path / "x.parquet")
        before = (tmp_path / "x.parquet").read_bytes()
        with pytest.raises(MobilenetError, match="no answers of mobilenet predict as parquet"):
            Output(str(tmp_path / "x.parquet"), "parquet", resume=True)
        assert (tmp_path / "x.parquet").read_bytes() == before


def test_no_regular_file(tmp_path):
    """/dev/zero would be read for ever."""
    with pytest.raises(MobilenetError, match="no regular file"):
        Output("/dev/zero", "jsonl", resume=True)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", "''=1", "'quoted'", "plain", "", "'", "a=1", " =1"])
def test_no_cell_is_a_formula(text):
    cell = as_cell(text)
    assert not cell.startswith(("=", "+", "-", "@"))
    assert from_cell(cell) == text
    row = read_row("csv", csv_lines(Entry(text, "classification")).encode())
    assert row.input == text


def test_formulas_in_a_table_for_spreadsheets(tmp_path, monkeypatch):
    """A label and a file's name; --resume finds the name again."""
    monkeypatch.chdir(tmp_path)
    formula = '=HYPERLINK("http://x")'
    modelfile.write(replace(toy(), labels=(formula, "@b", "c")), tmp_path / "m.safetensors")
    Image.new("RGB", (9, 9)).save("=a.png")
    common = ("predict", "=a.png", "--model", "m.safetensors", "--output", "x.csv")
    run(*common)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "x.csv").read_text())))
    assert {row["input"] for row in rows} == {"'=a.png"}
    assert {row["label"] for row in rows} == {f"'{formula}", "'@b", "c"}
    assert "1 held already" in run(*common, "--resume")[1]


@pytest.mark.parametrize("name", [b"x" * (2 * MAX_NAME), b"a.png\n" + bytes(MAX_NAME)])
def test_lists_of_names_without_ends(name, tmp_path):
    modelfile.write(toy(), tmp_path / "m.safetensors")
    (tmp_path / "list").write_bytes(name)
    err = run("predict", f"@{tmp_path / 'list'}", "--model", tmp_path / "m.safetensors", status=2)[1]
    assert "give one name on each line" in err


def test_lists_of_odd_names(tmp_path):
    """NUL, escape sequences, folders above, bytes that are no UTF-8, URLs of files and of other schemes."""
    modelfile.write(toy(), tmp_path / "m.safetensors")
    names = [
        b"a\0b.png", b"\x1b]0;x\x07.png", b"../../etc/passwd", b"\xff\xfe.png", b"file:///dev/zero", b"file:///etc/passwd",
        b"file:///%00", b"ftp://x/y.png", b"x" * 5000, b"://", b"file://", b"http://", b"http://[", b"@list", b"*.png",
    ]  # fmt: skip
    (tmp_path / "list").write_bytes(b"\n".join(names) + b"\n")
    out, err = run("predict", f"@{tmp_path / 'list'}", "--model", tmp_path / "m.safetensors", "--format", "jsonl", status=1)
    entries = [json.loads(line) for line in out.splitlines()]
    assert len(entries) == len(names)
    for entry in entries:
        assert len(entry["error"]) < 500
    for line in [*out.splitlines(), *err.splitlines()]:
        assert line.isprintable()
    assert "root:" not in out + err


def test_beginnings():
    assert may_be_cut("jsonl", b'{"inp')
    assert may_be_cut("csv", b"input,ta")
    assert not may_be_cut("csv", b"input,x")
    assert may_be_cut("jsonl", b"")
