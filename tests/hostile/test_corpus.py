"""Every input that fuzzing has kept, read again without Atheris and without clang; see docs/fuzzing.md."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.limits import bounded
from support.paths import ROOT

sys.path.insert(0, str(ROOT / "fuzz"))
import targets

FUZZ = ROOT / "fuzz"
MEGABYTE = 2**20


def inputs(name: str) -> list[Path]:
    return [path for kind in ("corpus", "regressions") for path in sorted((FUZZ / kind / name).glob("*"))]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [target.name for target in targets.TARGETS])
def test_readers(tmp_path, name):
    """Read, or refused in one short line, within bounds of time and memory (a member of a package may have 200 MiB)."""
    target = targets.named(name)
    if target.needs:
        pytest.importorskip(target.needs)
    seeds = list(target.seeds())
    assert seeds
    for data in seeds:
        targets.check(target, data, tmp_path)
    for path in inputs(name):
        with bounded(10, 256 * MEGABYTE):
            try:
                targets.check(target, path.read_bytes(), tmp_path)
            except Exception as error:
                raise AssertionError(f"{path.relative_to(ROOT)}: {error!r:.300}") from error


def test_programs():
    """The core refuses each program or runs it; its weights are packed as the harness packs them."""
    import numpy as np
    import programs

    core = pytest.importorskip("mobilenet._core", reason="the native core is not built")
    ran = 0
    for data in [*programs.seeds(), *(path.read_bytes() for path in inputs("program"))]:
        try:
            program = core.Program(data, programs.packed_weights(data))
        except ValueError:
            continue
        sizes = [int(np.prod(shape)) for shape in program.outputs]
        if program.threads > 3 or program.height * program.width > 20000 or sum(sizes) > 2**16:
            continue
        outputs = [np.empty((1, *shape), np.float32) for shape in program.outputs]
        core.Runner(program.threads).run(program, np.zeros((1, 3, program.height, program.width), np.float32), outputs)
        ran += 1
    assert ran >= 25
