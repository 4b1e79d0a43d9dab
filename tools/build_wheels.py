"""Builds wheels for other systems and processors by zig: python tools/build_wheels.py [PLATFORM ...] [PYTHON ...]

Zig brings each system's C library, so one Linux machine compiles for all. Each platform gets a wheel for Python 3.10, one
for 3.11, and one for 3.12 and all later versions (abi3: what nanobind needs of the stable interface begins there). A Python
that is not installed is named, and its wheel left out. The wheels come to the folder ``dist``, checked by check_wheel.py;
try_wheels.py runs those that can be run here.

The core does not know Python, so it is compiled once for each platform. An environment variable CMAKE_CXX_COMPILER_LAUNCHER
(ccache) is respected.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

from check_wheel import ELF, MACH_O, check

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "wheels"


class Platform(NamedTuple):
    """What a wheel is for: `tag` ends its name, `suffix` the compiled module's before ``.so``; `zig` names the target."""

    tag: str
    zig: str
    system: str
    processor: str
    suffix: str
    magic: bytes


PLATFORMS = {
    "linux-x86_64": Platform("manylinux_2_17_x86_64", "x86_64-linux-gnu.2.17", "Linux", "x86_64", "x86_64-linux-gnu", ELF),
    "linux-aarch64": Platform("manylinux_2_17_aarch64", "aarch64-linux-gnu.2.17", "Linux", "aarch64", "aarch64-linux-gnu", ELF),
    "musl-x86_64": Platform("musllinux_1_2_x86_64", "x86_64-linux-musl", "Linux", "x86_64", "x86_64-linux-musl", ELF),
    "musl-aarch64": Platform("musllinux_1_2_aarch64", "aarch64-linux-musl", "Linux", "aarch64", "aarch64-linux-musl", ELF),
    "macos-arm64": Platform("macosx_11_0_arm64", "aarch64-macos.11.0", "Darwin", "arm64", "darwin", MACH_O),
    "macos-x86_64": Platform("macosx_11_0_x86_64", "x86_64-macos.11.0", "Darwin", "x86_64", "darwin", MACH_O),
}
"""By the names of this tool. Windows is not among them: there a module is linked with the libraries of that system's Python."""

PYTHONS = ("3.10", "3.11", "3.12")
STABLE = "3.12"
"""The Python whose wheel serves all later versions."""

TOOLCHAIN = """set(CMAKE_SYSTEM_NAME {system})
set(CMAKE_SYSTEM_PROCESSOR {processor})
set(CMAKE_C_COMPILER {folder}/cc)
set(CMAKE_CXX_COMPILER {folder}/c++)
set(CMAKE_AR {folder}/ar CACHE FILEPATH "")
set(CMAKE_RANLIB {folder}/ranlib CACHE FILEPATH "")
set(CMAKE_OSX_ARCHITECTURES "" CACHE STRING "")
set(CMAKE_OSX_SYSROOT "" CACHE STRING "")
set(CMAKE_OSX_DEPLOYMENT_TARGET "" CACHE STRING "")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_MODULE_LINKER_FLAGS_INIT "{linking}")
"""

SCRIPT = """#!/bin/sh
for flag; do
  shift
  case $flag in
    -march=armv8.2-a+*) flag="-mcpu=generic+${{flag#*+}}" ;;
    -Wl,@*.sym) flag="-Wl,-undefined,dynamic_lookup" ;;
    -bundle) flag="-shared" ;;
  esac
  set -- "$@" "$flag"
done
exec "{zig}" {arguments} "$@"
"""
"""Calls zig, which names processors in its own way. For macOS it reads no file of the names that Python has, and its linker
makes libraries, which Python loads as it does bundles."""


def main(names: list[str]) -> None:
    for name in names:
        if name not in (*PLATFORMS, *PYTHONS):
            sys.exit(f"nothing here is called {name!r}; platforms: {', '.join(PLATFORMS)}; Pythons: {', '.join(PYTHONS)}")
    zig()
    pythons = dict[str, Path]()
    for version in [name for name in names if name in PYTHONS] or PYTHONS:
        if python := interpreter(version):
            pythons[version] = python
        else:
            print(f"no wheels for Python {version}: there is no python{version} with its headers on PATH", flush=True)
    if not pythons:
        sys.exit("nothing can be built")
    for name in [name for name in names if name in PLATFORMS] or PLATFORMS:
        for version, python in pythons.items():
            print(f"{name}, Python {version}: {build(name, version, python).name}", flush=True)


def zig() -> Path:
    """The compiler that the package ziglang brings. Raises SystemExit if it is not installed."""
    found = importlib.util.find_spec("ziglang")
    if found is None or found.origin is None:
        sys.exit(f"ziglang is not installed in {sys.executable}: `make wheels` brings an environment that has it")
    return Path(found.origin).with_name("zig")


def interpreter(version: str) -> Path | None:
    """The Python of this version on PATH, with headers."""
    code = "import os, sys, sysconfig as s; print(sys.executable, os.path.exists(s.get_paths()['include'] + '/Python.h'))"
    try:
        done = subprocess.run([f"python{version}", "-c", code], check=False, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    path, _, headers = done.stdout.strip().rpartition(" ")
    return Path(path) if done.returncode == 0 and headers == "True" else None


def environment(version: str, python: Path) -> Path:
    """The interpreter of an environment of this Python with the locked tools of a build."""
    folder, lock = FOLDER / f"python{version}", ROOT / "requirements" / "build.txt"
    done = folder / "ready"
    if not done.is_file() or done.read_text() != lock.read_text():
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        options = ["--quiet", "--require-hashes", "-r", lock]
        quick = [sys.executable, "-m", "uv", "pip", "install", "--python", folder / "bin" / "python", *options]
        if subprocess.run(quick, check=False, capture_output=True).returncode:  # it is not there, or cannot reach the packages
            subprocess.run([folder / "bin" / "python", "-m", "pip", "install", *options], check=True)
        done.write_text(lock.read_text())
    return folder / "bin" / "python"


def build(name: str, version: str, python: Path) -> Path:
    """The wheel, in the folder ``dist``. Raises SystemExit if it was not made, or does not hold what its name says."""
    platform, folder = PLATFORMS[name], FOLDER / name
    write_compilers(folder, platform)
    stable, tag = version == STABLE, f"cp{version.replace('.', '')}"
    suffix = ".abi3.so" if stable else f".{tag.replace('cp', 'cpython-')}-{platform.suffix}.so"
    settings = {
        "build-dir": str(folder / "build"),
        "wheel.tags": f"{tag}-{'abi3' if stable else tag}-{platform.tag}",
        **({"wheel.py-api": tag} if stable else {}),
        "cmake.define.CMAKE_TOOLCHAIN_FILE": str(folder / "toolchain.cmake"),
        "install.strip": "false",  # zig has stripped it
    }
    (folder / "build" / "CMakeCache.txt").unlink(missing_ok=True)  # of another Python; the core's objects stay
    made = folder / "made"
    shutil.rmtree(made, ignore_errors=True)
    options = ["--no-build-isolation", "--no-deps", *(f"--config-settings={key}={value}" for key, value in settings.items())]
    command = [environment(version, python), "-m", "pip", "wheel", "--verbose", *options, "--wheel-dir", made, ROOT]
    variables = {**os.environ, "SETUPTOOLS_EXT_SUFFIX": suffix}
    done = subprocess.run(command, check=False, env=variables, capture_output=True, text=True)
    wheels = list(made.glob("*.whl"))
    if done.returncode or len(wheels) != 1 or "_core" not in "".join(zipfile.ZipFile(wheels[0]).namelist()):
        log = folder / "failed.log"
        log.write_text(done.stdout + done.stderr)
        sys.exit(f"{name}, Python {version}: no wheel; {log} has the compiler's words\n{done.stdout[-3000:]}")
    check(wheels[0])
    (ROOT / "dist").mkdir(exist_ok=True)
    return Path(shutil.move(wheels[0], ROOT / "dist" / wheels[0].name))


def write_compilers(folder: Path, platform: Platform) -> None:
    """Scripts that call zig for a platform, and CMake's file that names them. Files that are right already keep their times."""
    folder.mkdir(parents=True, exist_ok=True)
    target = f"-O3 -g0 -target {platform.zig}"  # -O3 for CMake's questions, too: zig compiles a C++ library for each level
    for name, arguments in {"cc": f"cc {target}", "c++": f"c++ {target}", "ar": "ar", "ranlib": "ranlib"}.items():
        write(folder / name, SCRIPT.format(zig=zig(), arguments=arguments))
        (folder / name).chmod(0o755)
    linking = ""
    if platform.magic == ELF:  # the C++ library is inside; nothing of it may meet another one in the process
        write(folder / "shown", "{ global: PyInit__core; local: *; };\n")
        linking = f"-Wl,--version-script={folder / 'shown'}"
    values = {"system": platform.system, "processor": platform.processor, "folder": folder, "linking": linking}
    write(folder / "toolchain.cmake", TOOLCHAIN.format(**values))


def write(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text() != text:
        path.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
