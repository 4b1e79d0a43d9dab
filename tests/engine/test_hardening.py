"""The built core carries the hardening that CMakeLists.txt asks for."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest
from support import elf

_core = pytest.importorskip("mobilenet._core", reason="the native core is not built")


@pytest.fixture(scope="module")
def core() -> elf.Elf:
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("the flags are those of Linux on 64 bits")
    return elf.read_elf(Path(_core.__file__))


def test_addresses_are_bound_at_load_and_read_only_from_then_on(core):
    assert elf.RELRO in core.segments
    assert core.dynamic.get(elf.FLAGS, 0) & elf.BIND_NOW or core.dynamic.get(elf.FLAGS_1, 0) & elf.NOW_1
    assert elf.TEXT_RELOCATIONS not in core.dynamic


def test_the_stack_is_guarded_and_not_executable(core):
    assert core.has_symbol("__stack_chk_fail")
    assert not core.segments[elf.STACK] & elf.EXECUTABLE
