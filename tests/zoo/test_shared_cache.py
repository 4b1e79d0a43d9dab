"""Caches that several processes, several users or full disks share, and temporaries that killed processes left."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mobilenet.zoo.carriers import fetch
from mobilenet.zoo.published import File, Published

CONTENT = b"weights"
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MOBILENET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MOBILENET_WEIGHTS", raising=False)
    return tmp_path / "cache"


def model(tmp_path: Path) -> Published:
    (tmp_path / "toy.bin").write_bytes(CONTENT)
    return Published("toy", "classification", "A toy.", "MIT", (File("toy.bin", SHA, (tmp_path / "toy.bin").as_uri()),))


@pytest.mark.skipif(not hasattr(os, "fork") or not hasattr(os, "geteuid"), reason="forks")
def test_two_processes_that_fetch_at_once(tmp_path, cache):
    """Each writes under a name of its own, and the last to finish replaces the same bytes: all succeed, nothing is left."""
    toy, children = model(tmp_path), []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if (fetch(toy).folder / "toy.bin").read_bytes() == CONTENT else 1)
            finally:
                os._exit(2)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    assert [path.name for path in (cache / "published" / "toy").iterdir()] == ["toy.bin"]


READ_ONLY = """
import os, sys
from pathlib import Path
cache = Path(os.environ["MOBILENET_CACHE"])
os.setgid(65534); os.setuid(65534)  # nobody, who owns nothing here
from mobilenet.zoo.carriers import FetchError, fetch
from mobilenet.values import replace
from mobilenet.zoo.published import File, Published
model = Published("toy", "classification", "A toy.", "MIT", (File("toy.bin", sys.argv[1], "file:///nowhere/toy.bin"),))
print(fetch(model).folder.joinpath("toy.bin").read_bytes().decode())
try:
    fetch(replace(model, name="other"))
except FetchError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="takes on another user, as only root can")
def test_a_cache_of_another_user_is_read_and_a_new_model_says_where_to_put_it(cache):
    """Files that somebody else fetched serve every user; what is missing is an error that names the folder and the remedy."""
    with tempfile.TemporaryDirectory(dir="/tmp") as shared:  # pytest's own folders are closed to other users
        os.chmod(shared, 0o755)
        (folder := Path(shared) / "published" / "toy").mkdir(parents=True)
        (folder / "toy.bin").write_bytes(CONTENT)
        environment = {**os.environ, "MOBILENET_CACHE": shared, "PYTHONDONTWRITEBYTECODE": "1"}
        code = "import mobilenet.zoo.carriers, mobilenet.zoo.download\n" + READ_ONLY  # imported while it may read them
        command = [sys.executable, "-c", code, SHA]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        content, error = done.stdout.splitlines()
        assert content == CONTENT.decode()
        assert "published/other: cannot be made (Permission denied); set MOBILENET_CACHE to a writable folder" in error


def test_without_a_home(monkeypatch):
    """`HOME` unset, as in some services: the folder of the user's entry in the password file, or a relative one; no error."""
    from mobilenet.zoo.cache import cache_folder

    for name in ("HOME", "XDG_CACHE_HOME", "MOBILENET_CACHE"):
        monkeypatch.delenv(name, raising=False)
    assert cache_folder().endswith("mobilenet")


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_disk_without_room_for_the_whole_file(tmp_path, cache):
    """The system refuses in mid-write: one error with the reason, and neither the file nor a temporary."""
    code = (
        "import resource, signal, sys; from mobilenet.files import write_atomically, WriteError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_atomically(sys.argv[1], bytes(5000))\n"
        "except WriteError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "file: cannot be written (File too large); choose a folder that exists and has room" in done.stdout
    assert not [path for path in tmp_path.iterdir() if "file" in path.name]
