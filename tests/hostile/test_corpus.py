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


def test_weights():
    """The core folds and packs weights of any shape and bits, read as fuzz/native/weights.cc reads them."""
    import numpy as np

    core = pytest.importorskip("mobilenet._core", reason="the native core is not built")
    files = inputs("weights")
    assert len(files) > 50
    for file in files:
        data = file.read_bytes()
        numbers = iter(data + bytes(6))
        kind, outputs, kernel = next(numbers) % 3, 1 + next(numbers) % 100, 1 + next(numbers) % 7
        depth = 1 + next(numbers) % 64 if kind == 0 else 1 if kind == 1 else 3
        panel_blocks, choice = 1 + next(numbers) % 8, next(numbers)
        shape = (outputs, depth, kernel, kernel)
        sizes = [outputs] * 4 + [outputs * depth * kernel**2]
        floats = np.zeros(sum(sizes), np.float32)
        tail = data[6 if kind == 0 else 5 :][: floats.nbytes]
        floats.view(np.uint8)[: len(tail)] = np.frombuffer(tail, np.uint8)
        gamma, beta, mean, variance, weight = np.split(floats, np.cumsum(sizes)[:-1])
        after = core.BatchNorm(gamma, beta, mean, variance, 1e-3) if choice & 64 else beta
        low, high = core.bounds(weight)
        assert not low > high
        isas = core.isas()
        match kind:
            case 0:
                slab = core.Slab() if choice & 128 else None
                core.ProductWeights(weight.reshape(shape), after, panel_blocks, isas[choice % len(isas)], slab)
            case 1:
                core.DepthwiseWeights(weight.reshape(shape), after)
            case _:
                core.StemWeights(weight.reshape(shape), after)


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
