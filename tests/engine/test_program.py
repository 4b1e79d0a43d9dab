"""Native programs made by hand: bilinear resizing, concatenation, and every way in which bytes are no program."""

from __future__ import annotations

import struct
import threading

import numpy as np
import pytest

from mobilenet.engine.plan.program import pack_program
from mobilenet.engine.plan.steps import ConcatStep, EmitStep, ProductStep, ResizeStep, StemStep, Window

_core = pytest.importorskip("mobilenet._core", reason="the native core is not built")
from support.programs import Draft  # noqa: E402

ISAS = _core.isas()


class Bench:
    """A program under construction, on one thread, that first makes random tensors from the image."""

    def __init__(self, isa: str, side: int) -> None:
        self.isa, self.side, self.draft = isa, side, Draft(side, side)
        self.results: list[np.ndarray] = []

    def buffer(self, channels: int, height: int, width: int, margin: int = 0) -> str:
        return self.draft.buffer(channels, height, width, left=margin, right=margin)

    def tensor(self, channels: int, seed: int, margin: int = 0) -> str:
        weight = np.random.default_rng(seed).standard_normal((channels, 3, 1, 1)).astype(np.float32)
        conv = self.draft.conv(_core.StemWeights(weight, np.zeros(channels, np.float32)), channels, 3)
        target = self.buffer(channels, self.side, self.side, margin)
        self.draft.add(StemStep(0, conv, Window(), target, (0, self.side)))
        return target

    def emit(self, source: str, channels: int, height: int, width: int) -> None:
        self.draft.add(EmitStep(0, source, self.draft.output(channels, height, width), (0, height)))
        self.results.append(np.empty((1, channels, height, width), np.float32))

    def run(self) -> list[np.ndarray]:
        image = np.random.default_rng(0).standard_normal((1, 3, self.side, self.side)).astype(np.float32)
        _core.Runner(1).run(self.draft.compile(self.isa), image, self.results)
        return [result[0] for result in self.results]


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
    bench.draft.add(ResizeStep(0, "aligned" if align_corners else "half_pixel", source, target, (0, height)))
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
        bench.draft.add(ConcatStep(0, source, target, at, (0, 6)))
        bench.emit(source, count, 6, 6)
        at += count
    bench.emit(target, sum(channels), 6, 6)
    *parts, whole = bench.run()
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_runs_with_the_wrong_arrays_are_refused():
    bench = Bench("", 4)
    bench.emit(bench.tensor(3, 0), 3, 4, 4)
    program = bench.draft.compile()
    image, output = np.zeros((1, 3, 4, 4), np.float32), np.zeros((1, 3, 4, 4), np.float32)
    with pytest.raises(ValueError, match=r"images \(1, 3, 4, 5\): the program takes"):
        _core.Runner(1).run(program, np.zeros((1, 3, 4, 5), np.float32), [output])
    with pytest.raises(ValueError, match="output 0 has the wrong size"):
        _core.Runner(1).run(program, image, [output[:, :, 1:].copy()])
    with pytest.raises(ValueError, match="the program has 1 outputs"):
        _core.Runner(1).run(program, image, [])
    with pytest.raises(ValueError, match="for 1 threads, the runner has 2"):
        _core.Runner(2).run(program, image, [output])
    bench.draft.buffer(3, 4, 4, offset=1 << 22)
    with pytest.raises(ValueError, match="leaves the arena"):
        bench.draft.compile()


def test_an_output_whose_size_wraps_around_is_refused():
    """2^24 images of an output of 2^40 floats are 2^64: as much as an empty array."""
    draft = Draft(1, 1)
    draft.output(1 << 20, 1 << 10, 1 << 10)
    with pytest.raises(ValueError, match="output 0 has the wrong size"):
        _core.Runner(1).run(draft.compile(), np.empty((1 << 24, 3, 1, 1), np.float32), [np.empty(0, np.float32)])


@pytest.mark.parametrize(("width", "left"), [(40, 0), (2000, 10), (5, 3), (5, 32768)])
def test_stem_windows_that_leave_the_image_are_refused(width, left):
    """A target wider than the image allows, and columns of zeros past the window's own width."""
    draft = Draft(9, 9, arena=1 << 24)
    conv = draft.conv(_core.StemWeights(np.ones((16, 3, 3, 3), np.float32), np.zeros(16, np.float32)), 16, 3, 3)
    target = draft.buffer(16, 5, width)
    draft.add(StemStep(0, conv, Window(3, 2, 1, 1, left), target, (0, 5)))
    with pytest.raises(ValueError, match="the stem's windows leave the image"):
        draft.compile()


def test_one_caller_for_a_runner():
    side = 600
    draft = Draft(side, side, arena=4 * 16 * side * (side + 1), zeros=4 * 16 * side)
    target = draft.buffer(16, side, side)
    conv = draft.conv(_core.StemWeights(np.ones((16, 3, 3, 3), np.float32), np.zeros(16, np.float32)), 16, 3, 3)
    for _ in range(20):
        draft.add(StemStep(0, conv, Window(3, 1, 1, 1, 1), target, (0, side)))
    program, runner, image = draft.compile("portable"), _core.Runner(1), np.zeros((1, 3, side, side), np.float32)
    together, outcomes = threading.Barrier(4), []

    def call() -> None:
        together.wait()
        try:
            runner.run(program, image, [])
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
    bench = Bench("portable", 4)
    conv = bench.draft.conv(_core.ProductWeights(np.ones((8, 3), np.float32), np.ones(8, np.float32), 2, ISAS[-1]), 8, 3)
    source, target = bench.tensor(3, 0), bench.buffer(8, 4, 4)
    bench.draft.add(ProductStep(0, conv, Window(), source, target, None, (0, 4), (0, 1)))
    with pytest.raises(ValueError, match="packed for another instruction set"):
        bench.draft.compile("portable")


def small_program() -> tuple[Draft, bytes]:
    bench = Bench("", 4)
    bench.emit(bench.tensor(3, 0), 3, 4, 4)
    return bench.draft, pack_program(bench.draft.plan())


def test_bytes_that_are_no_whole_program_are_refused():
    draft, data = small_program()
    _core.Program(data, draft.weights)
    for end in range(len(data)):
        with pytest.raises(ValueError, match="program: "):
            _core.Program(data[:end], draft.weights)
    with pytest.raises(ValueError, match="4 bytes follow its end"):
        _core.Program(data + bytes(4), draft.weights)


@pytest.mark.parametrize(
    ("word", "value", "message"),
    [
        (0, 0, "the bytes do not begin with its mark"),
        (1, 1, "format 1, packing 1: this build reads 4 and 1; make the program again"),
        (2, 9, "format 4, packing 9"),
        (4, 7, "number type 7 is unknown"),
        (5, 1, "tensors of 1 bytes in blocks of 16; this build has 4 and 16"),
        (6, 8, "tensors of 4 bytes in blocks of 8"),
        (7, 0, "threads 0: must be 1 to 256"),
        (8, 1 << 20, "1 to 32768 pixels a side"),
    ],
)
def test_programs_for_another_build_are_refused(word, value, message):
    draft, data = small_program()
    changed = data[: 4 * word] + struct.pack("<i", value) + data[4 * word + 4 :]
    with pytest.raises(ValueError, match=message):
        _core.Program(changed, draft.weights)


def test_weights_of_another_layer_are_refused():
    _, data = small_program()
    others = {
        "outputs": _core.StemWeights(np.ones((4, 3, 1, 1), np.float32), np.ones(4, np.float32)),
        "kernel": _core.StemWeights(np.ones((3, 3, 3, 3), np.float32), np.ones(3, np.float32)),
        "kind": _core.DepthwiseWeights(np.ones((3, 1, 1, 1), np.float32), np.ones(3, np.float32)),
    }
    for weights in others.values():
        with pytest.raises(ValueError, match="the weights of 'conv 0' are not those it was planned for"):
            _core.Program(data, {"conv 0": weights})
    with pytest.raises(ValueError, match="there are no weights called 'conv 0'"):
        _core.Program(data, {})
    product = Draft(4, 4)
    product.conv(_core.ProductWeights(np.ones((8, 8), np.float32), np.ones(8, np.float32), 3), 8, 8)
    conv = product.conv(_core.ProductWeights(np.ones((8, 8), np.float32), np.ones(8, np.float32), 3), 8, 8)
    source = product.buffer(8, 4, 4)
    product.add(ProductStep(0, conv, Window(), source, source, None, (0, 4), (0, 1)))
    with pytest.raises(ValueError, match="the weights of 'conv 1' are not those it was planned for"):  # panels of 3, not 2
        product.compile()
