"""Builds the core for WebAssembly: python tools/build_web.py [--compiler NAME]

Two modules go into the npm package (src/mobilenet/web/package): one with SIMD128, which every browser has, and one with relaxed
SIMD, whose multiply-adds are fused. Any of these compilers serves:

- clang 17 or newer with wasi-libc and libc++ for WebAssembly (Debian: clang-19 lld-19 wasi-libc libc++-19-dev-wasm32
  libc++abi-19-dev-wasm32 libclang-rt-19-dev-wasm32);
- zig (pip install ziglang);
- Emscripten. Versions before 3.1.40 have no relaxed SIMD: they build the first module alone, which then serves all browsers.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NATIVE, TARGET, OBJECTS = ROOT / "native", ROOT / "src" / "mobilenet" / "web" / "package", ROOT / "build" / "web"
SIMD, RELAXED = "mobilenet-simd.wasm", "mobilenet-relaxed.wasm"
INTERFACE = (
    "load",
    "isa",
    "label",
    "describe",
    "describe_output",
    "prepare",
    "runner_new",
    "run",
    "message",
    "web_detections",
    "web_segments",
)
EXPORTS = ("malloc", "free", *(f"mobilenet_{name}" for name in INTERFACE))
DEFINES = ("-DMOBILENET_WASM", *(f"-DMOBILENET_NO_{what}" for what in ("THREADS", "MMAP", "FILES", "BF16", "PACKED", "CLOCK")))
FEATURES = ("-msimd128", "-mbulk-memory", "-mnontrapping-fptoint")  # every browser with the first has the others
COMMON = (
    *DEFINES,
    *FEATURES,
    "-std=c++20",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-c++-static-destructors",
    "-fno-threadsafe-statics",
    "-ffp-contract=off",
    f"-I{NATIVE / 'include'}",
)
MODULES = {SIMD: (), RELAXED: ("-mrelaxed-simd", "-DMOBILENET_WASM_RELAXED")}
UNUSED = ("preload.cc", "checksum.cc", "check_bf16.cc", "run_bf16.cc", "weights_bf16.cc")
# Of the linker: small functions are called and not copied, those with the same code become one, loops keep their counters.
SMALL = ("-Wl,--lto-O2", *(f"-Wl,-mllvm,-{what}" for what in ("inline-threshold=5", "enable-merge-functions", "disable-lsr")))
SPEED = {"wasm": "-Os", "constants_i8": "-O2"}  # the kernels, and what looks at every weight; all else for size
MISSING = (
    "no compiler for WebAssembly: install clang with wasi-libc and libc++ (Debian: apt install clang-19 lld-19 wasi-libc "
    "libc++-19-dev-wasm32 libc++abi-19-dev-wasm32 libclang-rt-19-dev-wasm32), or zig (pip install ziglang), or Emscripten"
)


@dataclass(frozen=True)
class Compiler:
    """A command, and what it adds when it compiles and when it links."""

    name: str
    command: tuple[str, ...]
    compiling: tuple[str, ...]
    linking: tuple[str, ...]

    def compiles(self, code: str, *flags: str) -> bool:
        """Whether it makes an object of a piece of C++."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "try.cc"
            source.write_text(code)
            command = [
                *self.command,
                *self.compiling,
                "-std=c++20",
                "-msimd128",
                *flags,
                "-c",
                str(source),
                "-o",
                f"{source}.o",
            ]
            return subprocess.run(command, capture_output=True, check=False).returncode == 0


def known() -> Iterator[Compiler]:
    """Every compiler whose command is installed; some may lack the libraries."""
    reactor = ("-mexec-model=reactor", "-Wl,--strip-all", "-Wl,-z,stack-size=1048576", "-Wl,--export=__stack_pointer")
    names = tuple(f"-Wl,--export={name}" for name in EXPORTS)
    for name in (*(f"clang++-{version}" for version in range(30, 16, -1)), "clang++"):
        if shutil.which(name):
            target = ("--target=wasm32-wasi", "-flto")
            yield Compiler(name, (name,), target, (*target, *SMALL, *reactor, *names))
    for command in (("zig",), (sys.executable, "-m", "ziglang")):
        if shutil.which(command[0]) and not subprocess.run([*command, "version"], capture_output=True, check=False).returncode:
            target = ("-target", "wasm32-wasi")
            yield Compiler("zig", (*command, "c++"), target, (*target, *reactor, *names))
    if shutil.which("em++"):
        exported = "-sEXPORTED_FUNCTIONS=" + ",".join(f"_{name}" for name in EXPORTS)
        linking = ("-O3", "--no-entry", "-sSTANDALONE_WASM", "-sALLOW_MEMORY_GROWTH", "-sTOTAL_STACK=1048576", exported)
        yield Compiler("em++", ("em++",), (), linking)


def chosen(name: str | None) -> Compiler | None:
    """The first compiler that works, or the named one."""
    for compiler in known():
        if name in (None, compiler.name) and compiler.compiles(
            "#include <vector>\n#include <wasm_simd128.h>\nstd::vector<int> v;"
        ):
            return compiler
    return None


def build(compiler: Compiler, folder: Path = TARGET) -> list[Path]:
    """The modules, in `folder`. What has not changed since the last build is not compiled again."""
    madd = "#include <wasm_simd128.h>\nv128_t f(v128_t a) { return wasm_f32x4_relaxed_madd(a, a, a); }"
    relaxed = compiler.compiles(madd, "-mrelaxed-simd")
    written = []
    for module, flags in MODULES.items():
        place = folder / module
        if flags and not relaxed:
            place.unlink(missing_ok=True)
            print(f"{compiler.name} knows no relaxed SIMD: no {module}")
            continue
        objects = [compiled(compiler, source, module, flags) for source in sources()]
        run([*compiler.command, *compiler.linking, *map(str, objects), "-o", str(place)])
        size, packed = place.stat().st_size, len(gzip.compress(place.read_bytes(), 9))
        print(f"{place.relative_to(ROOT)}: {size / 1000:.0f} kB, {packed / 1000:.1f} kB gzipped, by {compiler.name}")
        written.append(place)
    return written


def sources() -> list[Path]:
    core = [path for folder in ("base", "core") for path in sorted((NATIVE / folder).glob("*.cc")) if path.name not in UNUSED]
    return [
        *core,
        NATIVE / "interface" / "mobilenet.cc",
        *sorted((NATIVE / "web").glob("*.cc")),
        NATIVE / "isa" / "isa.cc",
        NATIVE / "isa" / "wasm.cc",
    ]


def compiled(compiler: Compiler, source: Path, module: str, flags: tuple[str, ...]) -> Path:
    """The object of one file. Only an instruction set's files differ between modules."""
    own = source.parent.name == "isa"
    target = OBJECTS / compiler.name / (module if own else "both") / f"{source.parent.name}-{source.stem}.o"
    newest = max(path.stat().st_mtime for path in (*NATIVE.rglob("*.h"), source, Path(__file__)))
    if not target.exists() or target.stat().st_mtime < newest:
        target.parent.mkdir(parents=True, exist_ok=True)
        speed = SPEED.get(source.stem, "-Oz")
        command = [*compiler.command, *compiler.compiling, *COMMON, speed, *(flags if own else ()), "-c", str(source)]
        run([*command, "-o", f"{target}.part"])
        os.replace(f"{target}.part", target)
    return target


def run(command: list[str]) -> None:
    done = subprocess.run(command, check=False)
    if done.returncode:
        sys.exit(f"failed: {' '.join(command)}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds the core for WebAssembly.")
    parser.add_argument("--compiler", help="of those above, by its command's name; by default the first that works")
    parser.add_argument("--if-possible", action="store_true", help="without a compiler say so and succeed")
    given = parser.parse_args()
    compiler = chosen(given.compiler)
    if compiler is None:
        sys.exit(print(f"skipped: {MISSING}") if given.if_possible else MISSING)
    build(compiler)


if __name__ == "__main__":
    main()
