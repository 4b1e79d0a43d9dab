"""`bench --whole`: both sides answer alike, and every row says what was measured."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.cli import run
from support.images import photo
from support.models import PAD, detector, segmenter, toy

from mobilenet import modelfile
from mobilenet.bench import whole
from mobilenet.errors import UsageError
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.values import replace

pytest.importorskip("onnxruntime")
pytest.importorskip("mobilenet._core")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("make", [toy, detector, segmenter])
def test_rows_of_every_task(tmp_path, make):
    model = make()
    if make is toy:
        model = replace(model, preprocessing=Preprocessing(model.preprocessing.size, "center_crop", resize=40))
    elif make is segmenter:
        model = replace(model, preprocessing=replace(PAD, size=model.network.resolution))
    photo(90, 70).save(tmp_path / "photo.png")
    rows = whole.bench_whole(model, tmp_path / "photo.png", 1, 0.01, (0.01, 0.02))
    assert [row.engine for row in rows] == ["native", "native, whole JPEG", "onnxruntime"] * 2
    for row in rows:
        assert 0 < row.min_ms <= row.median_ms <= row.p90_ms
        assert 0 <= row.agreement <= 1
    assert rows[1].agreement == 1


def test_agreement():
    boxes = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    one, two = (boxes, None, ["a", "b"]), (boxes[:1] + 1, None, ["a"])
    assert whole.agreement(one, one) == 1
    assert whole.agreement(one, two) == pytest.approx(2 / 3)
    assert whole.agreement(one, (boxes, None, ["b", "a"])) == 0
    assert whole.agreement((boxes[:0], None, []), (boxes[:0], None, [])) == 1
    assert (whole.agreement("a", "a"), whole.agreement("a", "b")) == (1, 0)
    assert whole.agreement(np.array([[1, 2]]), np.array([[1, 3]])) == 0.5


def test_the_command(tmp_path, monkeypatch):
    model = tmp_path / "m.safetensors"
    modelfile.write(detector(), model)
    photo(60, 50).save(tmp_path / "x.png")
    monkeypatch.setattr(whole, "MEGAPIXELS", (0.01,))
    monkeypatch.setattr(whole.bench_whole, "__defaults__", ((0.01,),))
    command = ("bench", "--whole", "--model", model, "--photo", tmp_path / "x.png", "--seconds", 0.01)
    assert {row["engine"] for row in json.loads(run(*command, "--json")[0])} == {"native", "native, whole JPEG", "onnxruntime"}
    assert "file to answer" in run(*command)[0]
    assert "only --whole takes one" in run("bench", "--photo", tmp_path / "x.png", status=2)[1]
    monkeypatch.setattr(whole, "unavailable", lambda name: f"{name}: not installed")
    with pytest.raises(UsageError, match="not installed"):
        whole.bench_whole(detector(), tmp_path / "x.png", 1, 0.01)
