"""`mobilenet.batch` on a Ray of two processes: every input once, in the rows of ``mobilenet predict``."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image
from support.models import toy

import mobilenet
from mobilenet import modelfile
from mobilenet.cli.main import main

pytest.importorskip("ray.data", reason="ray is not installed; it is the extra [ray]")
pytestmark = pytest.mark.filterwarnings("ignore")  # ray's own


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with a model and 40 images, one of them damaged; Ray runs as long as the module."""
    import ray

    folder = tmp_path_factory.mktemp("desk")
    modelfile.write(toy(), folder / "toy.safetensors")
    for number in range(40):
        path = folder / "photos" / f"{number // 20}" / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (6 * number, 90, 255 - 6 * number)).save(path)
    (folder / "photos/1/039.png").write_bytes(b"\x89PNG\r\n")
    before = os.getcwd()
    os.chdir(folder)
    ray.init("local", num_cpus=2, object_store_memory=200 * 2**20, include_dashboard=False, log_to_driver=False)
    yield folder
    ray.shutdown()
    os.chdir(before)


def rows_of(output) -> list[dict]:
    if list(Path(output).glob("*.jsonl")):
        return [json.loads(line) for path in Path(output).glob("*.jsonl") for line in path.read_text().splitlines()]
    from pyarrow import parquet

    return [row for path in Path(output).glob("*.parquet") for row in parquet.read_table(path).to_pylist()]


def by_input(rows) -> dict[str, dict]:
    assert max(Counter(row["input"] for row in rows).values(), default=1) == 1
    return {row["input"]: row for row in rows}


def test_every_input_once_in_the_rows_of_the_command_whatever_is_lost_or_added(desk):
    """A run, a restart after a kill, and a restart with more inputs and other parts, by the command."""
    words = ["predict", "photos", "--model", "toy.safetensors"]
    done = mobilenet.batch("photos", "answers.jsonl", "toy.safetensors", part_size=8)
    assert (done.num_answered, done.num_failed, done.num_held) == (39, 1, 0)
    CliRunner().invoke(main, [*words, "--output", "alone.jsonl"])
    alone = by_input([json.loads(line) for line in Path("alone.jsonl").read_text().splitlines()])
    assert by_input(rows_of("answers.jsonl")) == alone

    lost, *others = Path("answers.jsonl").glob("part-*")
    assert len(others) >= 2
    (Path("answers.jsonl") / f".{lost.name}.0123456789ab").write_bytes(lost.read_bytes()[:40])  # as a kill leaves it
    inputs = [json.loads(line)["input"] for line in lost.read_text().splitlines()]
    lost.unlink()
    Image.new("RGB", (40, 30), "blue").save("photos/0/aaa.png")
    with pytest.raises(mobilenet.MobilenetError, match="--resume"):
        mobilenet.batch("photos", "answers.jsonl", "toy.safetensors", part_size=8)
    with pytest.raises(mobilenet.MobilenetError, match="its answers were made with top 5, not with top 3; give --resume"):
        mobilenet.batch("photos", "answers.jsonl", "toy.safetensors", part_size=8, resume=True, top=3)
    done = mobilenet.batch("photos", "answers.jsonl", "toy.safetensors", part_size=8, resume=True)
    assert done.num_answered + done.num_failed == len(inputs) + 1
    assert done.num_held == 40 - len(inputs)
    rows = by_input(rows_of("answers.jsonl"))
    assert {name: row for name, row in rows.items() if name != "photos/0/aaa.png"} == alone
    assert not list(Path("answers.jsonl").glob(".*"))

    Image.new("RGB", (40, 30), "red").save("photos/0/bbb.png")
    words += ["--cluster", "auto", "--output", "answers.jsonl", "--resume"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("1 of 1 images, 41 held already; ")
    assert by_input(rows_of("answers.jsonl")).keys() == rows.keys() | {"photos/0/bbb.png"}
    result = CliRunner().invoke(main, words)
    assert result.stderr.strip() == "0 of 0 images, 42 held already"


def test_object_stores_tables_and_data_sets(desk):
    """One run of all: an address as of an object store, bytes and names in Parquet files, a data set on disk."""
    import pyarrow
    from pyarrow import parquet

    files = sorted(Path("photos/0").iterdir())
    contents = [{"bytes": path.read_bytes(), "path": None} for path in files[:6]] + [None]
    parquet.write_table(pyarrow.table({"image": contents, "text": ["x"] * 7}), "bytes.parquet", row_group_size=2)
    Path("shards.parquet").mkdir()
    parquet.write_table(pyarrow.table({"path": ["photos/0/007.png", None]}), "shards.parquet/a.parquet")
    (Path("shards.parquet") / "b.parquet").write_bytes(b"PAR1 and no more")
    address = (desk / "photos" / "1").as_uri()
    inputs = [address, "bytes.parquet", "shards.parquet"]
    expected = {f"{address}/{number:03}.png" for number in range(20, 40)} | {f"bytes.parquet#{row}" for row in range(7)}
    expected |= {"photos/0/007.png", "shards.parquet/a.parquet#1", "shards.parquet/b.parquet"}
    try:
        import datasets
    except ImportError:
        pass
    else:
        features = datasets.Features({"image": datasets.Image()})
        values = pyarrow.table({"image": contents[:3]}, schema=features.arrow_schema)
        datasets.Dataset(datasets.table.InMemoryTable(values), fingerprint="0").save_to_disk("saved")
        inputs.append("saved")
        expected |= {f"saved#{row}" for row in range(3)}
    mobilenet.batch(inputs, desk.as_uri() + "/mixed", "toy.safetensors", part_size=4)
    rows = by_input(rows_of("mixed"))
    assert rows.keys() == expected
    failed = {f"{address}/039.png", "bytes.parquet#6", "shards.parquet/a.parquet#1", "shards.parquet/b.parquet"}
    assert {name for name, row in rows.items() if row["error"]} == failed
    predict = mobilenet.load("toy.safetensors", threads=1)
    for name, file in {
        f"{address}/025.png": "photos/1/025.png",
        "bytes.parquet#3": files[3],
        "photos/0/007.png": files[7],
    }.items():
        assert [each["score"] for each in rows[name]["predictions"]] == [
            each["score"] for each in predict(file).to_dict()["predictions"]
        ]


def test_what_a_cluster_refuses(desk):
    refused = {
        "give --output FOLDER": ["photos", "--cluster", "auto"],
        "jsonl or parquet; choose": ["photos", "--cluster", "auto", "--output", "a.csv"],
        "leave out --save": ["photos", "--cluster", "auto", "--output", "a.jsonl", "--save", "drawn"],
        "with --cluster only": ["photos", "--column", "image"],
        "do not read stdin": ["-", "--cluster", "auto", "--output", "a.jsonl"],
        "pyarrow cannot open": ["nowhere://bucket/photos", "--cluster", "auto", "--output", "b.jsonl"],
        "which is no part": ["photos", "--cluster", "auto", "--output", "photos", "--format", "jsonl", "--resume"],
    }
    for reason, words in refused.items():
        result = CliRunner().invoke(main, ["predict", *words, "--model", "toy.safetensors"])
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.output
        assert reason in result.stderr
