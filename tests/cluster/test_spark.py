"""The pandas UDF of docs/how-to/cluster.md on a local Spark."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from support.models import toy
from support.paths import ROOT

from mobilenet import load, modelfile

pytest.importorskip("pyspark", reason="pyspark is not installed")
pytest.importorskip("pandas", reason="pandas is not installed")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")


@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java")
@pytest.mark.filterwarnings("ignore")  # pyspark's own
def test_the_page_answers_files_as_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "--master local[1] --conf spark.ui.enabled=false pyspark-shell")
    modelfile.write(toy(), "toy.safetensors")
    shutil.copytree(ROOT / "photos", "photos")
    Path("photos/damaged.jpg").write_bytes(b"\xff\xd8\xff")
    page = (ROOT / "docs/how-to/cluster.md").read_text("utf-8").partition("## Spark")[2]
    (code,) = re.findall(r"^```text\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {"__name__": "page"}
    try:
        exec(code.replace('"imagenet"', repr(os.path.abspath("toy.safetensors"))), names)
        from pyarrow import parquet

        rows = {Path(row["path"]).name: row for row in parquet.read_table("labels").to_pylist()}
    finally:
        if "spark" in names:
            names["spark"].stop()
    assert rows.keys() == {path.name for path in Path("photos").glob("*.jpg")}
    assert rows["damaged.jpg"]["label"] is None
    assert rows["damaged.jpg"]["error"]
    best = load("toy.safetensors", threads=1)("photos/cat.jpg")[0]
    assert (rows["cat.jpg"]["label"], rows["cat.jpg"]["score"]) == (best.label, pytest.approx(best.score, abs=1e-12))
