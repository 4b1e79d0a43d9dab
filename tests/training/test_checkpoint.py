"""A run that is killed, stopped or fails leaves a whole checkpoint; when resumed, it ends as if it had not been interrupted."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from support.training_runs import tiny

from mobilenet import modelfile
from mobilenet.training.input import CorruptImage, Dataset
from mobilenet.training.optim.optimizer import SGD, AdamW, Muon, RMSProp
from mobilenet.training.run import checkpoint, loop
from mobilenet.training.run.checkpoint import TrainingError

pytestmark = pytest.mark.usefixtures("quick_run")

STOPS = 5  # and more until one run was killed and one stopped in the loop

FORKING = """
import os, random, shutil, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)  # no thread pool, so that forking is safe
sys.path.insert(0, sys.argv[1])
import torch.utils.tensorboard
from PIL import Image
from mobilenet import load
from support import training_runs as runs
whole, folder, times = Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
start = time.monotonic()
assert os.waitpid(runs.forked(whole, False, runs.tiny()), 0)[1] == 0
length = time.monotonic() - start
models, log = {path.name: path.read_bytes() for path in whole.glob("*.safetensors")}, runs.log_of(whole)
assert len(models) == 2
chance = random.Random(0)
codes = set()
while times > 0 or not {3, -signal.SIGKILL} <= codes:
    times -= 1
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    while True:
        number = chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM))
        child = runs.forked(folder, True, runs.tiny())
        time.sleep(chance.uniform(0, length))
        os.kill(child, number)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        codes.add(ended)
        if ended not in (0, 3, 1, -number):
            raise SystemExit(f"exit {ended}")
        scored = (folder / "log.jsonl").exists() and any("metrics" in line for line in runs.log_of(folder))
        if scored or ended == 3:  # the first score is there, or the run had time to end: two whole models
            for name in ("model", "last"):
                assert len(load(folder / f"{name}.safetensors")(Image.new("RGB", (32, 50), "red"))) == 5
        if chance.random() < 0.5:
            break
    child = runs.forked(folder, True, runs.tiny())
    assert os.waitpid(child, 0)[1] == 0, (folder / "error.txt").read_text()
    for name, content in models.items():
        assert (folder / name).read_bytes() == content
    assert runs.log_of(folder) == log
    assert not [path for path in folder.glob(".*")], list(folder.glob(".*"))
print(*sorted(codes))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_run_stopped_at_random_moments_has_a_model_and_ends_equal(tmp_path):
    """kill -9, Ctrl-C, SIGTERM, some times: two whole models once there is a score, and in the end the same model files byte
    for byte, the same log line for line."""
    command = [sys.executable, "-W", "error", "-c", FORKING]
    folders = [str(each) for each in (Path(__file__).parents[1], tmp_path / "whole", tmp_path / "run")]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([*command, *folders, str(STOPS)], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"-9", "3"} <= set(done.stdout.split()), "killed, and stopped in the loop"


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
