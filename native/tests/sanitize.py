"""Builds the core with sanitizers and runs it: python native/tests/sanitize.py [address] [thread] [prepare] [quick]

``address`` builds the extension with the address and undefined-behavior sanitizers and runs the engine's Python tests
on it, hostile programs included, then the native tests. ``thread`` runs the native tests under the thread sanitizer.
``quick`` is what `make test` runs beside the test suite, with portable kernels, which compile soonest, and without the Python
tests: the native tests and every input that fuzzing has kept under the address and undefined-behavior sanitizers, the threaded
tests under the thread sanitizer. ``prepare`` builds for it: with clang, in the folder of the harnesses that look for new
inputs, or with g++ where clang has no libFuzzer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = (
    "tests/engine/test_native.py",
    "tests/engine/test_native_grid.py",
    "tests/engine/test_program.py",
    "tests/hostile/test_program.py",
    "tests/hostile/test_fuzz.py",
)

THREADED = ("workers", "programs")  # native tests that start threads
HARNESSES = ("program", "weights", "weights_i8", "image_planes", "resample", "detections", "segmentation")

# An editable installation's finder would import the plain core; the sanitized package stands first on the path instead.
RUN = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if not hasattr(finder, "known_source_files")]
import mobilenet._core as core
assert core.__file__.startswith(sys.argv[1]), core.__file__
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[2:]]))
"""


def run(*command: str | Path, **environment: str) -> None:
    print("+", *command, flush=True)
    subprocess.run([str(part) for part in command], cwd=ROOT, env={**os.environ, **environment}, check=True)


def build(name: str, sanitizers: str, *options: str, targets: tuple[str, ...] = ("all",)) -> Path:
    folder = ROOT / "build" / f"sanitize-{name}"
    run("cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", f"-DMOBILENET_SANITIZE={sanitizers}", *options)
    run("cmake", "--build", folder, "--target", *targets)
    return folder


def native_tests(name: str, sanitizers: str, **environment: str) -> None:
    folder = build(name, sanitizers, "-DMOBILENET_NATIVE_TESTS=ON")
    run("ctest", "--test-dir", folder, "--output-on-failure", **environment)


def address() -> None:
    sanitizers = "address,undefined"
    native_tests("address-native", sanitizers)
    folder = build("address", sanitizers, f"-DPython_EXECUTABLE={sys.executable}")
    package = folder / "site" / "mobilenet"
    shutil.rmtree(package.parent, ignore_errors=True)
    shutil.copytree(ROOT / "src" / "mobilenet", package)
    for core in folder.glob("_core*"):
        shutil.copy(core, package)
    libraries = [
        subprocess.check_output(["g++", f"-print-file-name={name}"], text=True).strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    run(
        sys.executable, "-c", RUN, package.parent, *TESTS,
        PYTHONPATH=str(package.parent), LD_PRELOAD=":".join(libraries), ASAN_OPTIONS="detect_leaks=0",
    )  # fmt: skip


def thread() -> None:
    native_tests("thread", "thread", TSAN_OPTIONS="die_after_fork=0")  # the tests fork on purpose


def prepare() -> None:
    """Builds what `quick` runs."""
    if missing := [tool for tool in ("cmake", "ninja", "g++") if shutil.which(tool) is None]:
        print(f"nothing is built: {', '.join(missing)} is not installed")
        return
    sys.path.insert(0, str(ROOT / "fuzz"))
    import run as fuzz

    reason = fuzz.build(portable=True)
    print(reason or "the native harnesses are built", flush=True)
    options = ["-DMOBILENET_NATIVE_TESTS=ON", "-DMOBILENET_PORTABLE=ON"]
    if reason:
        build("quick", "address,undefined", "-DMOBILENET_FUZZ=ON", *options)
    threaded = tuple(f"native_{test}" for test in THREADED)
    # g++'s: clang's thread sanitizer waits for ever in a process that forked.
    build("quick-thread", "thread", *options, "-DCMAKE_CXX_COMPILER=g++", targets=threaded)


def quick() -> None:
    threads, guarded = ROOT / "build" / "sanitize-quick-thread", ROOT / "build" / "fuzz" / "native-portable"
    searching = (guarded / "fuzz_program").is_file()  # libFuzzer's harnesses; "-runs=0": no new inputs
    folder = guarded if searching else ROOT / "build" / "sanitize-quick"
    if not folder.exists():
        print("skipped: cmake, ninja or g++ is not installed")
        return
    run("ctest", "--test-dir", folder, "--output-on-failure")
    run("ctest", "--test-dir", threads, "--output-on-failure", "-R", "|".join(THREADED), TSAN_OPTIONS="die_after_fork=0")
    for harness in HARNESSES:
        kept = [place for kind in ("corpus", "regressions") if (place := ROOT / "fuzz" / kind / harness).is_dir()]
        options = ("-runs=0", "-max_len=10000000", "-verbosity=0") if searching else ()
        run(folder / f"fuzz_{harness}", *options, *kept, ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1")


if __name__ == "__main__":
    for name in sys.argv[1:] or ("address", "thread"):
        {"address": address, "thread": thread, "prepare": prepare, "quick": quick}[name]()
    print("sanitizers found nothing")
