"""A run that is killed, stopped or fails leaves a whole checkpoint; when resumed, it ends as if it had not been interrupted."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from support.training_runs import tiny  # noqa: E402

from mobilenet import modelfile  # noqa: E402
from mobilenet.training.input import CorruptImage, Dataset  # noqa: E402
from mobilenet.training.optim.optimizer import SGD, AdamW, Muon, RMSProp  # noqa: E402
from mobilenet.training.run import checkpoint, loop, report  # noqa: E402
from mobilenet.training.run.checkpoint import TrainingError  # noqa: E402

KILLS = 20

FORKING = """
import os, random, shutil, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)  # no thread pool, so that forking is safe
sys.path.insert(0, sys.argv[1])
import torch.utils.tensorboard
from support import training_runs as runs
whole, folder, times = Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
start = time.monotonic()
assert os.waitpid(runs.forked(whole, False, runs.tiny()), 0)[1] == 0
length = time.monotonic() - start
model, log = (whole / "model.safetensors").read_bytes(), runs.log_of(whole)
chance = random.Random(0)
for _ in range(times):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    while True:
        child = runs.forked(folder, True, runs.tiny())
        time.sleep(chance.uniform(0, length))
        os.kill(child, int(sys.argv[5]))
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(ended, end=" ")
        if ended not in (0, 3, 1, -int(sys.argv[5])):
            raise SystemExit(f"exit {ended}")
        if chance.random() < 0.5:
            break
    child = runs.forked(folder, True, runs.tiny())
    assert os.waitpid(child, 0)[1] == 0, (folder / "error.txt").read_text()
    assert (folder / "model.safetensors").read_bytes() == model
    assert runs.log_of(folder) == log
    assert not [path for path in folder.glob(".*")], list(folder.glob(".*"))
"""


def interrupted_runs(tmp_path: Path, times: int, number: int) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKING, str(Path(__file__).parents[1]), str(tmp_path / "whole"),
         str(tmp_path / "run"), str(times), str(number)],
        capture_output=True, text=True, check=False, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_run_killed_at_random_moments_ends_equal(tmp_path):
    """kill -9, twenty times: the same model file byte for byte, the same log line for line."""
    assert "-9" in interrupted_runs(tmp_path, KILLS, signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_says_so_and_ends_equal_when_resumed(tmp_path, number):
    """At a random moment: with a TrainingError in the loop, with Python's own ending before and after it."""
    assert interrupted_runs(tmp_path, 1, number)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(report, "draw_run", lambda *_: None)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train(folder: Path, resume: bool = False, **changes) -> bytes:
    return loop.train(tiny(**changes), None, folder, resume, "cpu").read_bytes()


@pytest.mark.parametrize("kind", [SGD(0.9, True), RMSProp(), AdamW(), Muon()])
def test_a_full_disk_ends_cleanly(kind, tmp_path, monkeypatch):
    """The disk is full at the third checkpoint: the second one stays; when there is space again, the run ends equal."""
    whole, writes, sync = train(tmp_path / "whole", optimizer=kind, lr=0.001), [0], os.fsync

    def full(handle):
        writes[0] += 1
        if writes[0] == 5:  # recipe, log, two checkpoints
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TrainingError, match=r"No space left on device.*the checkpoint before it is whole.*--resume"):
        train(tmp_path / "run", optimizer=kind, lr=0.001)
    assert checkpoint.load(tmp_path / "run")["step"] == 2
    assert not list((tmp_path / "run").glob(".*"))
    assert train(tmp_path / "run", True, optimizer=kind, lr=0.001) == whole


def test_lost_data_ends_cleanly(tmp_path, monkeypatch):
    """After 20 images none can be read: the steps done are saved; when the images are back, the run ends equal."""
    reads, read = [0], Dataset.read
    train(tmp_path / "whole")

    def vanishing(self, index):
        reads[0] += 1
        if reads[0] > 20:
            raise CorruptImage(self.name(index), "no such file")
        return read(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(Dataset, "read", vanishing)
        with pytest.raises(TrainingError, match=r"40 images in a row cannot be read.*continue with --resume"):
            train(tmp_path / "run")
    assert checkpoint.load(tmp_path / "run")["step"] == 2
    train(tmp_path / "run", resume=True)
    whole, gone_on = (modelfile.read(tmp_path / name / "model.safetensors") for name in ("whole", "run"))
    assert all((whole.tensors[name] == gone_on.tensors[name]).all() for name in whole.tensors)
    assert (whole.provenance["failed"], gone_on.provenance["failed"]) == (0, 40)


def test_a_damaged_checkpoint_is_detected(tmp_path):
    train(tmp_path, epochs=1)
    path = tmp_path / checkpoint.FILE
    content = path.read_bytes()
    for damaged in (content[:-1], content[:50], b"", b"x" + content[1:], content[:-9] + b"?" + content[-8:]):
        path.write_bytes(damaged)
        with pytest.raises(TrainingError, match="no whole checkpoint of this version; leave --resume out"):
            train(tmp_path, resume=True, epochs=1)
    path.unlink()
    with pytest.raises(TrainingError, match="cannot be read"):
        checkpoint.load(tmp_path)


def test_partial_files_of_a_kill_are_removed(tmp_path):
    """Our own partial files are removed, other files stay; --resume without a checkpoint starts a run."""
    for name in (".checkpoint.pt.abc", ".model.safetensors.xyz", ".mine.txt"):
        (tmp_path / name).write_bytes(b"half")
    train(tmp_path, resume=True, epochs=1)
    assert [path.name for path in tmp_path.glob(".*")] == [".mine.txt"]


def test_log_lines_after_the_checkpoint_are_removed(tmp_path):
    """Steps after the checkpoint, scores after the last one in it, and a line that a kill cut off."""
    from mobilenet.training.run.log import RunLog, read

    lines = [{"step": 5, "loss": 1.0}, {"step": 5, "metrics": {}}, {"step": 10, "loss": 1.0}, {"step": 10, "metrics": {}},
             {"step": 15, "loss": 1.0}]  # fmt: skip
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 2')
    with RunLog(tmp_path, 10, 5) as record:
        record.write({"step": 20, "loss": 2.0})
    assert [line["step"] for line in read(tmp_path / "log.jsonl")] == [5, 5, 10, 20]
