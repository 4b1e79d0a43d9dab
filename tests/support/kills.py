"""Kills `fetch`, `convert` and `train` at random moments, and looks at what is left: python tests/support/kills.py 100

After each kill every file under a final name is the whole old or the whole new one; the next run removes what the killed one
left, and ends as if there had been no kill. One process imports everything and forks a child for each run. Appends a row
to results/kills.jsonl (not with ``--dry``).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from safetensors.numpy import save_file

from mobilenet.convert.libraries import LAYOUTS
from mobilenet.network.mobilenet import mobilenet_v2
from mobilenet.zoo import carriers
from mobilenet.zoo.published import File, Published
from support.weights import random_tensors

CONTENTS = {f"part{i}.bin": bytes([i]) * 300_000 for i in range(4)}


def forked(work: Callable[[], object]) -> int:
    """Starts `work` in a forked process; its pid."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        work()
        status = 0
    finally:
        os._exit(status)
    raise AssertionError


def finished(work: Callable[[], object]) -> float:
    """Does `work` in a forked process, which must end well. Its seconds."""
    start = time.monotonic()
    assert os.waitpid(forked(work), 0)[1] == 0, "a run without a kill fails"
    return time.monotonic() - start


def kill_at_random(work: Callable[[], object], length: float, chance: random.Random) -> bool:
    """Whether the kill came before the end."""
    pid = forked(work)
    time.sleep(chance.uniform(0, 1.1 * length))
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()]


def serve() -> str:
    """The address of a server that gives `CONTENTS` in pieces, so that downloads take a while."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = connection.recv(65536).split()
            if not request:
                return  # killed before it asked
            content = CONTENTS[request[1].decode().strip("/")]
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content))
            for at in range(0, len(content), 100_000):
                connection.sendall(content[at : at + 100_000])
                time.sleep(0.002)

    def work() -> None:
        while True:
            threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=work, daemon=True).start()
    return f"http://127.0.0.1:{server.getsockname()[1]}"


def kill_fetch(folder: Path, times: int, chance: random.Random) -> dict[str, int]:
    """Every file in the cache is whole, or is not there."""
    os.environ["no_proxy"] = "*"
    address = serve()
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()}
    files = tuple(File(name, digests[name], f"{address}/{name}") for name in CONTENTS)
    model = Published("toy", "classification", "a toy", "MIT", files)

    def work() -> None:
        os.environ["MOBILENET_CACHE"] = str(folder)
        carriers.fetch(model)

    length, before, killed, left = finished(work), folder / "published" / "toy", 0, 0
    for _ in range(times):
        shutil.rmtree(folder)
        killed += kill_at_random(work, length, chance)
        for name, content in CONTENTS.items():
            path = before / name
            assert not path.exists() or path.read_bytes() == content, f"{name} is not whole"
        left += len(leftovers(folder))
        finished(work)
        assert not leftovers(folder), leftovers(folder)
        assert {path.name for path in before.iterdir()} == set(CONTENTS)
    return {"kills": times, "before_the_end": killed, "temporaries_left_and_removed": left}


def foreign_weights(path: Path) -> None:
    """Writes weights of three classes, as another library names them."""
    network = mobilenet_v2(0.35, classes=3)
    tensors = random_tensors(network)
    save_file({origin.source: tensors[origin.canonical] for origin in LAYOUTS[0].origins(network)}, path)


def kill_convert(folder: Path, times: int, chance: random.Random) -> dict[str, int]:
    """The model file is the old or the new one."""
    from mobilenet.cli.convert import convert

    folder.mkdir()
    source, out = folder / "source.safetensors", folder / "model.safetensors"
    foreign_weights(source)

    def work(labels: str) -> Callable[[], object]:
        (folder / f"{labels}.txt").write_text("\n".join(f"{labels}{i}" for i in range(3)))
        arguments = [str(source), "--out", str(out), "--labels", str(folder / f"{labels}.txt")]
        return lambda: convert.main(arguments, standalone_mode=False)

    works = [work("old"), work("new")]
    contents = set()
    for each in works:
        length = finished(each)
        contents.add(out.read_bytes())
    assert len(contents) == 2
    killed = left = 0
    for i in range(times):
        killed += kill_at_random(works[i % 2], length, chance)
        assert out.read_bytes() in contents, "the model file is neither the old nor the new one"
        left += len(leftovers(folder))
        finished(works[i % 2])
        assert not leftovers(folder), leftovers(folder)
    return {"kills": times, "before_the_end": killed, "temporaries_left_and_removed": left}


def kill_train(folder: Path, times: int, chance: random.Random) -> dict[str, int]:
    """Model files are whole. With --resume the run goes on, and ends with the model file of a run that was not killed."""
    import torch
    import torch.utils.tensorboard

    from mobilenet import modelfile
    from support import training_runs as runs

    torch.set_num_threads(1)  # no thread pool, so that forking is safe
    whole, resumed = folder / "whole", folder / "resumed"
    folder.mkdir()
    start = time.monotonic()
    assert os.waitpid(runs.forked(whole, False, runs.tiny()), 0)[1] == 0
    length = time.monotonic() - start
    expected, killed, left, done = (whole / "model.safetensors").read_bytes(), 0, 0, 0
    while done < times:
        shutil.rmtree(resumed, ignore_errors=True)
        resumed.mkdir()
        for _ in range(min(4, times - done)):  # each a part of the run further, so that most come before its end
            pid = runs.forked(resumed, True, runs.tiny())
            time.sleep(chance.uniform(0, length))
            os.kill(pid, signal.SIGKILL)
            killed += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
            done += 1
            for path in resumed.glob("*.safetensors"):
                modelfile.read(path)  # it is whole: its digest is that of its tensors
            left += len(leftovers(resumed))
        assert os.waitpid(runs.forked(resumed, True, runs.tiny()), 0)[1] == 0, "the run does not go on"
        assert (resumed / "model.safetensors").read_bytes() == expected
        assert not leftovers(resumed), leftovers(resumed)
    return {"kills": times, "before_the_end": killed, "temporaries_left_and_removed": left}


KILLS = {"fetch": kill_fetch, "convert": kill_convert, "train": kill_train}


def main() -> None:
    times, root = int(sys.argv[1]), Path(__file__).parents[2]
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=root, text=True).strip()
    row: dict[str, object] = {"date": time.strftime("%Y-%m-%d"), "commit": commit}
    with tempfile.TemporaryDirectory() as scratch:
        for name, kill in KILLS.items():
            row[name] = kill(Path(scratch) / name, times, random.Random(name))
            print(name, row[name], flush=True)
    if "--dry" not in sys.argv:
        with open(root / "results" / "kills.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
