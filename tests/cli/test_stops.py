"""Commands that are stopped: by Ctrl-C, SIGTERM or a closed pipe they end as Unix tools do, quietly and with no half file."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.kills import foreign_weights
from support.models import toy

from mobilenet import modelfile

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

COMMAND = [sys.executable, "-c", "from mobilenet.__main__ import run; run()"]  # the installed command
# The same, and a line on stderr just before: an interpreter that is still starting is not ours to make quiet.
TOLD = [*COMMAND[:-1], "from mobilenet.__main__ import run; import sys; print(file=sys.stderr, flush=True); run()"]
MOMENTS = 1  # random ones, at which each command is stopped


def test_little_is_imported_before_a_signal_has_its_handler():
    """In that time Ctrl-C prints Python's traceback: these would make it several times as long."""
    code = "import sys; import mobilenet.__main__; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"typing", "re", "enum", "signal", "click"} & set(done.stdout.split())


@pytest.mark.parametrize("arguments", [["models"], ["models", "--json"], ["cost", "mobilenet_v2"], ["--help"]])
def test_a_closed_pipe_ends_it_by_sigpipe(arguments):
    """As `| head -1`, which has left before the command writes."""
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        process.stdout.close()
        words = process.stderr.read()
    assert process.returncode == -signal.SIGPIPE
    assert words == ""


def test_a_closed_pipe_in_the_middle_of_predictions(tmp_path):
    """The reader takes one line and leaves; the command is not left running."""
    from PIL import Image

    modelfile.write(toy(), tmp_path / "toy.safetensors")
    (tmp_path / "photos").mkdir()
    for index in range(300):
        Image.new("RGB", (40, 40), "red").save(tmp_path / "photos" / f"{index}.png")
    arguments = ["predict", str(tmp_path / "photos"), "--model", str(tmp_path / "toy.safetensors")]
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        assert process.stdout.readline()
        process.stdout.close()
        words = process.stderr.read()
    assert process.returncode == -signal.SIGPIPE
    assert words == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["predict", "evaluate", "cost", "bench", "convert"])
def test_stopped_at_random_moments(name, number, tmp_path):
    """It ends by the signal, or is done; no traceback, and no half file under the final name or beside it."""
    from PIL import Image

    model, out = tmp_path / "toy.safetensors", tmp_path / "out"
    modelfile.write(toy(), model)
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(100):
            Image.new("RGB", (40, 40), (i, i, i)).save(tmp_path / "data" / label / f"{i}.png")
    out.mkdir()
    foreign_weights(theirs := tmp_path / "theirs.safetensors")
    (tmp_path / "labels.txt").write_text("x\ny\nz\n")
    arguments = {
        "predict": [str(tmp_path / "data"), "--model", str(model), "--save", str(out)],
        "evaluate": ["--model", str(model), "--data", str(tmp_path / "data")],
        "cost": ["mobilenet_v2"],
        "bench": ["--model", str(model), "--threads", "1"],
        "convert": [str(theirs), "--labels", str(tmp_path / "labels.txt"), "--out", str(out / "model.safetensors")],
    }[name]
    chance = random.Random(f"{name}{number}")
    for _ in range(MOMENTS):
        process = subprocess.Popen([*TOLD, name, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process.stderr.readline()
        time.sleep(0.01 + chance.random() ** 2)
        process.send_signal(number)
        _, words = process.communicate(timeout=60)
        assert process.returncode in (0, -number), words
        assert "Traceback" not in words, words
        for path in out.iterdir():
            assert not path.name.startswith("."), path
            if path.suffix == ".png":
                with Image.open(path) as drawn:
                    drawn.load()
            else:
                modelfile.read(path)


def test_a_shell_sees_the_conventional_status():
    code = (
        "import os, signal; from mobilenet import __main__; __main__.command = lambda: signal.raise_signal({}); __main__.run()"
    )
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        shell = f"{sys.executable} -c '{code.format(int(number))}'; echo $?"
        done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True, start_new_session=True)
        assert done.stdout.strip() == str(status), done.stderr


def test_ignored_signals_stay_ignored():
    """nohup, and a shell's background jobs, start a command with Ctrl-C ignored."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from mobilenet import __main__\n"
        "def command(): signal.raise_signal(signal.SIGINT); print('done'); return 0\n"
        "__main__.command = command; __main__.run()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_a_file_being_written_is_removed(tmp_path):
    """SIGTERM within the write: the temporary goes, the old file stays."""
    path = tmp_path / "file"
    path.write_text("old")
    code = (
        "import os, signal; from mobilenet import __main__, files\n"
        "os.fsync = lambda number: signal.raise_signal(signal.SIGTERM)\n"
        f"__main__.command = lambda: files.write_atomically({str(path)!r}, b'new')\n"
        "__main__.run()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
    assert [each.name for each in Path(tmp_path).iterdir()] == ["file"]
    assert path.read_text() == "old"
