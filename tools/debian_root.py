"""A folder with Debian's Python for a processor, and nothing else: no compiler, no pip, no package of this machine.

Packages are brought by this machine's apt, into lists and a cache of their own: nothing is installed, and no rights are needed.
A root of another processor runs in qemu's user emulator.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
"""The last is what numpy's wheels expect of every system."""

NAMES = {"amd64": "x86_64", "arm64": "aarch64"}
"""What Debian and the kernel call a processor."""

SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))


class Root(NamedTuple):
    """A root, and how programs in it are started: `emulator` is empty if this processor runs them."""

    folder: Path
    architecture: str
    emulator: str

    @property
    def python(self) -> Path:
        """The interpreter, as a file of this machine."""
        return self.folder / "usr" / "bin" / "python3"

    def run(
        self, arguments: list[object], variables: Mapping[str, str], processor: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs the root's Python with arguments, in the root. Paths are those in it: see `path`.

        Args:
            arguments: of Python.
            variables: all that the environment holds, beside a home.
            processor: the model that the emulator imitates.
        """
        words, variables = [str(each) for each in arguments], {"HOME": self.path("/tmp"), **variables}  # it has no users
        if not self.emulator:
            command, environment = ["unshare", "-r", "-R", str(self.folder), "/usr/bin/python3", *words], dict(variables)
        else:
            inside = {**variables, "PYTHONHOME": str(self.folder / "usr")}
            given = [part for name, value in inside.items() for part in ("-E", f"{name}={value}")]
            model = ["-cpu", processor] if processor else []
            command = [self.emulator, "-L", str(self.folder), *model, *given, str(self.python.resolve()), *words]
            environment = {}
        program = shutil.which(command[0]) or command[0]
        environment["PATH"] = "/usr/bin:/bin" if not self.emulator else str(self.folder / "usr" / "bin")
        return subprocess.run([program, *command[1:]], check=False, capture_output=True, text=True, env=environment)

    def path(self, inside: str) -> str:
        """What a path in the root is called by programs that run in it. The emulator changes no root."""
        return str(self.folder / inside.lstrip("/")) if self.emulator else inside


def missing(architecture: str) -> str:
    """Why there can be no such root here; empty if there can."""
    emulator = emulator_for(architecture)
    tools = [tool for tool in ("apt-get", "dpkg-deb", *([emulator] if emulator else ["unshare"])) if shutil.which(tool) is None]
    if tools:
        return f"{', '.join(tools)} is not installed (Debian: apt dpkg util-linux qemu-user)"
    if sources() is None:
        return "this machine's apt has no sources of Debian"
    return ""


def emulator_for(architecture: str) -> str:
    name = NAMES[architecture]
    return "" if platform.machine() == name else f"qemu-{name}"


def sources() -> Path | None:
    return next((path for path in SOURCES if path.is_file() and "debian" in path.read_text("utf-8")), None)


def debian_root(folder: Path, architecture: str) -> Root:
    """A root in `folder`, made there if it is missing. Raises SystemExit if packages cannot be brought."""
    root = Root(folder / architecture / "root", architecture, emulator_for(architecture))
    state, listed = folder / architecture, sources()
    done = state / "packages"
    if root.python.exists() and done.is_file() and done.read_text() == " ".join(PACKAGES):
        return root
    shutil.rmtree(root.folder, ignore_errors=True)
    for part in ("lists/partial", "cache/archives/partial"):
        (state / part).mkdir(parents=True, exist_ok=True)
    (state / "status").write_text("")
    options = {
        "Dir::State": state,
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::sourcelist": listed,
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
    }
    apt = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]
    call([*apt, "update"])
    call([*apt, "install", "--download-only", "--yes", "--no-install-recommends", *PACKAGES])
    made = state / "made"
    shutil.rmtree(made, ignore_errors=True)
    for package in sorted((state / "cache" / "archives").glob("*.deb")):
        call(["dpkg-deb", "-x", str(package), str(made)])
    for name in ("tmp", "proc", "dev"):
        (made / name).mkdir(exist_ok=True)
    made.rename(root.folder)
    done.write_text(" ".join(PACKAGES))
    return root


def call(command: list[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\nstatus {done.returncode}\n{done.stdout}{done.stderr}")
