"""The C library as its users build it: python native/tests/c_library.py [gcc|clang|zig|sanitizers|board ...]

With each compiler that is installed the library is built and installed into a folder, and the example is built upon that
folder by a project in C alone, which finds it by find_package, and run. It must name a photo as the engine in Python does.
gcc's example runs under valgrind, too, and `sanitizers` is gcc's with the address and undefined-behavior sanitizers. clang and
zig build the portable kernels only: `make native` and the wheels have theirs for vector units.

`board` builds examples/board for a Cortex-M7 without an operating system, and runs an int8 MobileNetV2 0.35 at 96 pixels in an
emulator whose memory has 200,000 bytes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "c-library"
PORTABLE = "-DMOBILENET_PORTABLE=ON"
WHEELS = ROOT / ".venv-wheels" / "bin" / "python"
ZIG = (str(WHEELS if WHEELS.is_file() else sys.executable), "-m", "ziglang")
"""The compiler that `make wheels` brings."""

RAM = 200_000
"""Bytes of the board's memory, as examples/board/board.ld says."""


class Build(NamedTuple):
    """A way to build the library: compilers, settings of CMake, and flags that the example needs, too."""

    c: Sequence[str]
    cxx: Sequence[str]
    settings: tuple[str, ...] = ()
    flags: str = ""


BUILDS = {
    "gcc": Build(["gcc"], ["g++"]),
    "clang": Build(["clang"], ["clang++"], (PORTABLE,)),
    "zig": Build([*ZIG, "cc"], [*ZIG, "c++"], (PORTABLE,)),
    "sanitizers": Build(["gcc"], ["g++"], (PORTABLE, "-DMOBILENET_SANITIZE=address,undefined"), "-fsanitize=address,undefined"),
}


def main(names: list[str]) -> None:
    if unknown := [name for name in names if name not in (*BUILDS, "board")]:
        sys.exit(f"nothing here is called {unknown[0]!r}; known: {', '.join(BUILDS)}, board")
    models = write_models(FOLDER / "models")
    for name in names or (*BUILDS, "board"):
        said = board(models) if name == "board" else library(name, BUILDS[name], models)
        print(f"{name}: {said}", flush=True)


def library(name: str, build: Build, models: Path) -> str:
    """Builds, installs, and runs the example. Raises SystemExit if it does not answer as the engine in Python."""
    for compiler in (build.c, build.cxx):
        if reason := missing(compiler):
            return f"skipped, {reason}"
    folder = FOLDER / name
    shutil.rmtree(folder / "installed", ignore_errors=True)
    compilers = [f"-DCMAKE_C_COMPILER={script(folder, 'cc', build.c)}", "-DCMAKE_BUILD_TYPE=Release"]
    both = [*compilers, f"-DCMAKE_CXX_COMPILER={script(folder, 'c++', build.cxx)}"]
    prefix = f"-DCMAKE_INSTALL_PREFIX={folder / 'installed'}"
    run(["cmake", "-S", ROOT, "-B", folder / "library", "-DMOBILENET_C=ON", prefix, *both, *build.settings])
    run(["cmake", "--build", folder / "library", "--target", "install", "--parallel", os.cpu_count() or 1])
    outside = folder / "example"  # not in the tree: only the installed package is found
    shutil.rmtree(outside, ignore_errors=True)
    shutil.copytree(ROOT / "examples" / "c", outside)
    flags = [f"-DCMAKE_C_FLAGS=-Wall -Wextra -Werror {build.flags}", f"-DCMAKE_PREFIX_PATH={folder / 'installed'}"]
    run(["cmake", "-S", outside, "-B", outside / "build", *compilers, *flags])
    run(["cmake", "--build", outside / "build"])
    classify: list[object] = [outside / "build" / "classify", models / "small-c", models / "image.ppm"]
    lines = run(classify).splitlines()
    expected = (models / "answer").read_text("utf-8").splitlines()
    if lines != expected:
        sys.exit(f"{name}: the example says {lines}, the engine {expected}")
    notes = "the example answers as the engine"
    if name == "gcc":
        if shutil.which("valgrind") is None:
            return f"{notes}; valgrind is not installed"
        variables = {"MOBILENET_ISA": "portable"}  # valgrind knows few instruction sets
        command: list[object] = ["valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full", *classify]
        run(command, variables)
        notes += "; under valgrind, nothing is found"
    return notes


def missing(compiler: Sequence[str]) -> str:
    if shutil.which(compiler[0]) is None or run_quietly([*compiler, "--version"]):
        return f"{' '.join(compiler[-2:])} does not run here"
    return ""


def run_quietly(command: Sequence[str]) -> int:
    return subprocess.run(command, check=False, capture_output=True).returncode


def run(command: Sequence[object], variables: dict[str, str] | None = None) -> str:
    """What a command says. Raises SystemExit with all of it if it fails."""
    words, environment = [str(each) for each in command], {**os.environ, **(variables or {})}
    nothing = subprocess.DEVNULL
    done = subprocess.run(words, check=False, stdin=nothing, capture_output=True, text=True, env=environment, timeout=1800)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\nstatus {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def script(folder: Path, name: str, command: Sequence[str]) -> Path | str:
    """A compiler of one word, for CMake."""
    if len(command) == 1:
        return command[0]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    text = f'#!/bin/sh\nexec {" ".join(command)} "$@"\n'
    if not path.is_file() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")
    path.chmod(0o755)
    return path


def board(models: Path) -> str:
    """Builds for the board and runs there. Raises SystemExit if it does not fit, or computes other scores than the engine."""
    for tool in ("arm-none-eabi-g++", "qemu-system-arm"):
        if shutil.which(tool) is None:
            packages = "gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib qemu-system-arm"
            return f"skipped, {tool} is not installed (Debian: {packages})"
    folder, source = ROOT / "build" / "board", ROOT / "examples" / "board"
    bare = ["-DMOBILENET_C=ON", "-DMOBILENET_BARE=ON", PORTABLE, f"-DCMAKE_TOOLCHAIN_FILE={source / 'toolchain.cmake'}"]
    run(["cmake", "-S", ROOT, "-B", folder, *bare])
    run(["cmake", "--build", folder, "--parallel", os.cpu_count() or 1])
    machine = ["-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard"]
    given = [f'-DMODEL="{models / "board-c"}"', f'-DPHOTO="{models / "image.rgb"}"', f"-I{ROOT / 'native' / 'include'}"]
    strict = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", *given, *machine]
    objects = []
    for name in ("board", "cortex_m7"):
        objects.append(folder / f"{name}.o")
        run(["arm-none-eabi-gcc", *strict, "-c", source / f"{name}.c", "-o", objects[-1]])
    linking = ["-nostartfiles", "--specs=nano.specs", "--specs=nosys.specs", "-Wl,--gc-sections", "-T", source / "board.ld"]
    program = folder / "board.elf"
    run(["arm-none-eabi-g++", *machine, *linking, *objects, folder / "libmobilenet.a", "-o", program])
    words = ["-chardev", "stdio,id=words", "-semihosting-config", "enable=on,target=native,chardev=words"]
    quiet = ["-display", "none", "-monitor", "none", "-serial", "none"]
    said = run(["qemu-system-arm", "-machine", "mps2-an500", *quiet, *words, "-kernel", program])
    expected = (models / "board-answer").read_text("utf-8")
    if not said.startswith(expected):
        sys.exit(f"the board says {said!r}, the engine {expected!r}")
    planned, variables, heap, stack = (
        int(number) for number in re.findall(r"^(?:planned|variables|heap|stack) (\d+)$", said, re.M)
    )
    total = variables + heap + stack
    if total > RAM:
        sys.exit(f"{total} bytes, more than the board's memory: it was overwritten")
    return (
        f"the scores of the engine; {total} of {RAM} bytes: variables {variables} (with the image and the scores), heap {heap} "
        f"(of it {planned} planned for activations), stack {stack}"
    )


def write_models(folder: Path) -> Path:
    """MobileNetV2 0.35 at 96 pixels with random weights, in float32, and in integers for a board; an image; the answers."""
    sys.path[:0] = [str(ROOT / "tests")]
    import numpy as np
    from PIL import Image
    from support.weights import random_tensors

    import mobilenet
    from mobilenet.exports.c_file import CExporter
    from mobilenet.exports.exporter import Content
    from mobilenet.images.preprocessing import Preprocessing
    from mobilenet.modelfile import ModelFile
    from mobilenet.network.mobilenet import mobilenet_v2
    from mobilenet.tasks.labels import known

    network = mobilenet_v2(0.35, 96)
    labels = known("classification", 1000)
    assert labels is not None
    model = ModelFile(network, random_tensors(network), labels.names, Preprocessing(size=(96, 96), fit="squash"))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    integers = mobilenet.quantize(model, ROOT / "photos").model
    CExporter().write(Content(model), folder / "small-c")
    CExporter().write(Content(integers, "int8", in_place=True), folder / "board-c")
    image = Image.open(ROOT / "photos" / "cat.jpg").convert("RGB")
    image.save(folder / "image.ppm")
    small = image.resize((96, 96))
    (folder / "image.rgb").write_bytes(small.tobytes())
    best = mobilenet.load(model)(np.asarray(image), top=5)
    lines = [f"{100 * each.score:5.1f} %  {each.label}\n" for each in best.top(5)]
    (folder / "answer").write_text("".join(lines), "utf-8")
    predict = mobilenet.load(integers)
    scores = np.asarray(
        predict.runtime(np.asarray(predict.model.preprocessing.batch(small)))["classifier"], np.float32
    ).reshape(-1)
    digest = 2166136261
    for byte in scores.tobytes():
        digest = (digest ^ byte) * 16777619 & 0xFFFFFFFF
    index = int(scores.argmax())
    (folder / "board-answer").write_text(f"class {index}, {labels.names[index]}\nscores {digest:08x}\n", "utf-8")
    return folder


if __name__ == "__main__":
    main(sys.argv[1:])
