"""Native programs written by hand: the steps that no classifier needs, bilinear resizing and concatenation."""

from __future__ import annotations

import threading

import numpy as np
import pytest

_core = pytest.importorskip("mobilenet._core", reason="the native core is not built")

ISAS = _core.isas()
EVERYTHING = (-np.inf, np.inf)


class Bench:
    """A program under construction, on one thread, that first makes random tensors from the picture."""

    def __init__(self, isa: str, side: int) -> None:
        self.isa, self.side = isa, side
        self.program = _core.Program(isa, 1, side, side, 1 << 20, 16 * 64)
        self.at, self.next, self.outputs = _core.Place(0, 0), 16 * 64, []

    def buffer(self, channels: int, height: int, width: int, margin: int = 0) -> int:
        offset = self.next
        self.next += -(-channels // 16) * 16 * height * (width + 2 * margin)
        return self.program.buffer(
            offset=offset, channels=channels, height=height, width=width, slots=height, left=margin, right=margin
        )

    def tensor(self, channels: int, seed: int, margin: int = 0) -> int:
        weight = np.random.default_rng(seed).standard_normal((channels, 3, 1, 1)).astype(np.float32)
        weights = _core.StemWeights(weight, np.zeros(channels, np.float32))
        target = self.buffer(channels, self.side, self.side, margin)
        self.program.stem(self.at, weights=weights, window=_core.Window(), target=target, rows=(0, self.side), range=EVERYTHING)
        return target

    def emit(self, source: int, channels: int, height: int, width: int) -> None:
        output = self.program.output(channels, height, width)
        self.program.emit(self.at, source=source, output=output, rows=(0, height))
        self.outputs.append(np.empty((1, channels, height, width), np.float32))

    def run(self) -> list[np.ndarray]:
        picture = np.random.default_rng(0).standard_normal((1, 3, self.side, self.side)).astype(np.float32)
        _core.Runner(1).run(self.program, picture, self.outputs)
        return [output[0] for output in self.outputs]


def bilinear(x: np.ndarray, size: int, align_corners: bool, axis: int) -> np.ndarray:
    """One axis resized as TensorFlow and PyTorch define it, in float64."""
    before = x.shape[axis]
    if align_corners:
        at = np.arange(size) * ((before - 1) / (size - 1) if size > 1 else 0)
    else:
        at = np.maximum((np.arange(size) + 0.5) * before / size - 0.5, 0)
    first = np.minimum(at.astype(int), before - 1)
    second = np.minimum(first + 1, before - 1)
    weight = (at - first).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    return np.take(x, first, axis) * (1 - weight) + np.take(x, second, axis) * weight


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("side", "height", "width"), [(9, 33, 17), (9, 4, 9), (1, 5, 3), (7, 1, 1), (5, 40, 2)])
def test_resize(side, height, width, align_corners, isa):
    bench, channels = Bench(isa, side), 21
    source, target = bench.tensor(channels, 1, margin=1), bench.buffer(channels, height, width)
    bench.program.resize(bench.at, source=source, target=target, align_corners=align_corners, rows=(0, height))
    bench.emit(source, channels, side, side)
    bench.emit(target, channels, height, width)
    before, after = bench.run()
    expected = bilinear(bilinear(before.astype(np.float64), height, align_corners, 1), width, align_corners, 2)
    # Weights rounded once, then three blends of two roundings each.
    np.testing.assert_allclose(after, expected, rtol=0, atol=8 * 2.0**-24 * np.abs(before).max())


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("channels", [(16, 32), (5, 20, 9), (1, 1, 14, 3)])
def test_concat(channels, isa):
    bench = Bench(isa, 6)
    sources = [bench.tensor(count, seed) for seed, count in enumerate(channels)]
    target, at = bench.buffer(sum(channels), 6, 6), 0
    for source, count in zip(sources, channels, strict=True):
        bench.program.concat(bench.at, source=source, target=target, channel=at, rows=(0, 6))
        bench.emit(source, count, 6, 6)
        at += count
    bench.emit(target, sum(channels), 6, 6)
    *parts, whole = bench.run()
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_programs_of_another_shape_are_refused():
    bench = Bench("", 4)
    bench.emit(bench.tensor(3, 0), 3, 4, 4)
    picture, output = np.zeros((1, 3, 4, 4), np.float32), np.zeros((1, 3, 4, 4), np.float32)
    with pytest.raises(ValueError, match=r"images \(1, 3, 4, 5\): the program takes"):
        _core.Runner(1).run(bench.program, np.zeros((1, 3, 4, 5), np.float32), [output])
    with pytest.raises(ValueError, match="output 0 has the wrong size"):
        _core.Runner(1).run(bench.program, picture, [output[:, :, 1:].copy()])
    with pytest.raises(ValueError, match="the program has 1 outputs"):
        _core.Runner(1).run(bench.program, picture, [])
    with pytest.raises(ValueError, match="for 1 threads, the runner has 2"):
        _core.Runner(2).run(bench.program, picture, [output])
    with pytest.raises(ValueError, match="leaves the arena"):
        bench.program.buffer(offset=1 << 20, channels=3, height=4, width=4, slots=4)


def test_a_program_that_has_run_is_immutable():
    bench = Bench("", 4)
    bench.emit(bench.tensor(3, 0), 3, 4, 4)
    bench.run()
    for change in (bench.program.barrier, lambda: bench.tensor(3, 1), lambda: bench.program.output(3, 4, 4)):
        with pytest.raises(ValueError, match="immutable"):
            change()


def test_one_caller_for_a_runner():
    bench, side = Bench("portable", 600), 600
    bench.program = _core.Program("portable", 1, side, side, 16 * side * (side + 1), 16 * side)
    bench.next = 16 * side
    target = bench.tensor(16, 0)
    for _ in range(20):
        bench.program.stem(
            bench.at, weights=_core.StemWeights(np.ones((16, 3, 3, 3), np.float32), np.zeros(16, np.float32)),
            window=_core.Window(3, 1, 1, 1, 1), target=target, rows=(0, side), range=EVERYTHING,
        )  # fmt: skip
    runner, picture = _core.Runner(1), np.zeros((1, 3, side, side), np.float32)
    together, outcomes = threading.Barrier(4), []

    def call() -> None:
        together.wait()
        try:
            runner.run(bench.program, picture, [])
            outcomes.append("ran")
        except ValueError as error:
            outcomes.append(str(error))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert "ran" in outcomes
    assert "the runner is running already; each thread needs a runner of its own" in outcomes


@pytest.mark.skipif(len(ISAS) < 2, reason="one instruction set only")
def test_weights_of_another_instruction_set_are_refused():
    weights = _core.ProductWeights(np.ones((8, 3), np.float32), np.ones(8, np.float32), 2, ISAS[-1])
    bench = Bench("portable", 4)
    source, target = bench.tensor(3, 0), bench.buffer(8, 4, 4)
    with pytest.raises(ValueError, match="packed for another instruction set"):
        bench.program.product(
            bench.at, weights=weights, window=_core.Window(), source=source, target=target,
            rows=(0, 4), panels=(0, 1), range=EVERYTHING,
        )  # fmt: skip
