"""What follows a run: the table of scores, a logger of the user's own, and one that fails."""

from __future__ import annotations

import csv
import re

import pytest
from support.paths import ROOT

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from support.training_runs import log_of, tiny  # noqa: E402

from mobilenet.errors import UsageError  # noqa: E402
from mobilenet.training.run import loop, report  # noqa: E402

OWN = """
seen = []
class Own:
    def __init__(self, begun):
        self.out = begun.out
        seen.append(("begun", begun.step, begun.steps, len(begun.labels)))
    def log(self, line):
        seen.append(("score" if "metrics" in line else "steps", line["step"]))
    def scored(self, score):
        assert (score.out / "last.safetensors").exists()
        seen.append(("scored", score.line["step"], score.is_last, score.model.metrics == score.line["metrics"]))
    def close(self):
        seen.append("closed")
class Failing(Own):
    def log(self, line):
        raise ConnectionError("no server")
"""


@pytest.fixture(autouse=True)
def no_images(monkeypatch):
    monkeypatch.setattr(report, "draw_run", lambda *_: None)


def test_loggers_follow_a_run_and_cannot_stop_it(tmp_path, capsys):
    file = tmp_path / "own.py"
    file.write_text(OWN)
    loop.train(tiny(), None, tmp_path / "run", accelerator="cpu", loggers=["csv", f"{file}:Own", f"{file}:Failing"])
    assert f"logger {file}:Failing: failed (no server); the run goes on without it" in capsys.readouterr().err
    scores = [line for line in log_of(tmp_path / "run") if "metrics" in line]
    with open(tmp_path / "run" / "scores.csv", newline="") as table:
        rows = list(csv.DictReader(table))
    assert [int(row["step"]) for row in rows] == [line["step"] for line in scores] == [5, 10]
    assert [float(row["top1"]) for row in rows] == [line["metrics"]["top1"] for line in scores]
    assert all(float(row["loss"]) > 0 and row["unreadable"] == "0" for row in rows)
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_a_logger_hears_of_every_line_and_every_score(tmp_path):
    seen = []

    def own(begun):
        space = {}
        exec(OWN, space)
        space["Own"].__init__.__globals__["seen"] = seen
        return space["Own"](begun)

    loop.train(tiny(), None, tmp_path, accelerator="cpu", loggers=[own])
    first = [("steps", 5), ("score", 5), ("scored", 5, False, True)]
    last = [("steps", 10), ("score", 10), ("scored", 10, True, True)]
    assert seen == [("begun", 0, 10, 5), *first, *last, "closed"]
    seen.clear()
    loop.train(tiny(), None, tmp_path, True, "cpu", loggers=[own])
    assert seen == [("begun", 10, 10, 5), last[2], "closed"], "a finished run repeats its last score"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tensorbord", r"no logger is called 'tensorbord'.*tensorboard.*package.module:name or file.py:name"),
        ("missing.py:Own", "no such file"),
        ("no_such_module:Own", "cannot be loaded .*No module named"),
        ("json:dump_s", "dumps"),
        ("sys:version", "must be a function or class"),
    ],
)
def test_a_logger_that_is_not_there_is_named_before_the_run(name, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        loop.train(tiny(), None, tmp_path / "run", accelerator="cpu", loggers=[name])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("name", "module"), [("WeightsAndBiases", "wandb"), ("MLflow", "mlflow")])
def test_the_trackers_of_the_how_to_page(name, module, tmp_path, monkeypatch, capsys):
    """Without a network: each tracker has the scores in a folder."""
    pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    page = (ROOT / "docs" / "how-to" / "logger.md").read_text("utf-8")
    blocks = re.findall(r"^```py\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "trackers.py").write_text(next(block for block in blocks if name in block))
    loop.train(tiny(), None, tmp_path / "run", accelerator="cpu", loggers=[f"trackers.py:{name}"])
    assert "failed" not in capsys.readouterr().err
    written = [path for path in tmp_path.rglob("*") if path.name == "top1" or path.suffix == ".wandb"]
    assert written, list(tmp_path.iterdir())
