"""Checks wheels without running them: python tools/check_wheel.py WHEEL...

The compiled core must be for the processor, the system and the Python that the wheel's name says. For Linux it may need the C
library alone: its C++ library is inside, and it shows nothing of it. Each function that it asks for must be one of Python, or
one of the C library: of glibc by its version, of musl by the list that zig brings. auditwheel must find that no newer glibc is
needed than the name allows; it knows musl only where that is the system's. For macOS, the least version in the header must be
that of the name.
"""

from __future__ import annotations

import importlib.util
import re
import struct
import subprocess
import sys
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path

ELF, MACH_O = b"\x7fELF", b"\xcf\xfa\xed\xfe"
MACH_O_PROCESSORS = {0x0100000C: "arm64", 0x01000007: "x86_64"}
LC_BUILD_VERSION = 0x32
GLIBC_PARTS, MUSL_PARTS = r"(libc|libm|libpthread|libdl|librt|ld-linux-.*)\.so\.\d$", r"libc\.so$"
UNVERSIONED = ("VER_NDX_LOCAL", "VER_NDX_GLOBAL")


def check(wheel: Path) -> None:
    """Raises SystemExit with the reason if the wheel does not hold what its name says."""
    if not zipfile.is_zipfile(wheel) or wheel.name.count("-") != 4:
        sys.exit(f"{wheel}: no wheel; its name must be NAME-VERSION-PYTHON-ABI-PLATFORM.whl")
    python, abi, platform = wheel.stem.split("-")[2:]
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        modules = [name for name in archive.namelist() if re.fullmatch(r"mobilenet/_core\..*(so|pyd)", name)]
        if len(modules) != 1:
            sys.exit(f"{wheel.name}: the compiled core must be in it once; found: {', '.join(modules) or 'nothing'}")
        module = Path(archive.extract(modules[0], folder))
        if f".{abi}." not in module.name and f"-{abi[2:]}-" not in module.name:
            sys.exit(f"{wheel.name}: {module.name} is for another Python than {python}-{abi}")
        if "macosx" in platform:
            check_mach_o(wheel, module.read_bytes(), platform)
        else:
            check_elf(wheel, module, platform)
            if platform.startswith("manylinux"):
                auditwheel(wheel, platform)


def check_elf(wheel: Path, module: Path, platform: str) -> None:
    """Linked with the C library alone, for this processor, and showing one name."""
    from elftools.elf.elffile import ELFFile

    with module.open("rb") as file:
        elf = ELFFile(file)
        processor = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}.get(elf["e_machine"], elf["e_machine"])
        symbols, shown = list(elf.get_section_by_name(".dynsym").iter_symbols()), list[str]()
        needed = [tag.needed for tag in elf.get_section_by_name(".dynamic").iter_tags("DT_NEEDED")]
        versions, unknown = elf.get_section_by_name(".gnu.version"), list[str]()
        for index, symbol in enumerate(symbols[1:], 1):
            if symbol["st_shndx"] != "SHN_UNDEF":
                shown.append(symbol.name)
            elif not re.match("_?Py", symbol.name) and symbol["st_info"]["bind"] != "STB_WEAK":
                versioned = versions is not None and versions.get_symbol(index)["ndx"] not in UNVERSIONED
                if not (symbol.name in musl() if "musllinux" in platform else versioned):
                    unknown.append(symbol.name)
    if not platform.endswith(processor):
        sys.exit(f"{wheel.name}: its core is compiled for {processor}")
    if shown != ["PyInit__core"]:
        sys.exit(f"{wheel.name}: its core must show PyInit__core and nothing else; it shows {', '.join(sorted(shown)[:5])}")
    foreign = [name for name in needed if not re.match(MUSL_PARTS if "musllinux" in platform else GLIBC_PARTS, name)]
    if foreign or not needed:
        sys.exit(f"{wheel.name}: its core must need the C library and nothing else; it needs {', '.join(needed) or 'nothing'}")
    if unknown:
        sys.exit(f"{wheel.name}: its core asks for what neither Python nor the C library has: {', '.join(unknown[:5])}")


@lru_cache(1)
def musl() -> frozenset[str]:
    """The names that musl's library has."""
    found = importlib.util.find_spec("ziglang")
    if found is None or found.origin is None:
        sys.exit("ziglang is not installed: it knows what musl has")
    listed = Path(found.origin).parent / "lib" / "libc" / "musl" / "libc.S"
    return frozenset(re.findall(r"^(\w+):", listed.read_text("utf-8"), re.MULTILINE))


def auditwheel(wheel: Path, platform: str) -> None:
    """Needs no newer library than the wheel's name allows."""
    command = [sys.executable, "-m", "auditwheel", "show", str(wheel)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    said = " ".join(done.stdout.split())
    if done.returncode or f'platform tag: "{platform}"' not in said:
        sys.exit(f"{wheel.name}: auditwheel does not agree with the name: {said} {done.stderr}")


def check_mach_o(wheel: Path, module: bytes, platform: str) -> None:
    """For this processor, from the macOS of the wheel's name on."""
    magic, processor, _, _, commands = struct.unpack_from("<4s4I", module)
    least, at = "none", 32
    for _ in range(commands):
        kind, size = struct.unpack_from("<2I", module, at)
        if kind == LC_BUILD_VERSION:
            version = struct.unpack_from("<4I", module, at)[3]
            least = f"{version >> 16}_{version >> 8 & 255}"
        at += size
    found = f"macosx_{least}_{MACH_O_PROCESSORS.get(processor, processor)}"
    if magic != MACH_O or found != platform:
        sys.exit(f"{wheel.name}: its core is for {found}")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        check(Path(name))
        print(f"{name}: as its name says")
