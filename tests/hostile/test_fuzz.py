"""Random networks, plans and model files: the engine answers or refuses, and never leaves its arena.

Under the address sanitizer (`make sanitize`) a step outside a buffer would end the run.
"""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from support.grid import gridded
from support.models import IMAGE, toy
from support.networks import STYLES, networks
from support.quantized import quantized
from support.weights import random_tensors

import mobilenet
from mobilenet import modelfile
from mobilenet.engine.integer_weights import pack_integers
from mobilenet.engine.plan.integers import integers_of
from mobilenet.engine.plan.layout import BF16, U8
from mobilenet.engine.plan.memory import Buffer
from mobilenet.engine.plan.plan import make_plan
from mobilenet.engine.plan.steps import Plan, Style
from mobilenet.modelfile import ModelFileError
from mobilenet.network.heads import deeplabv3_mobilenet_v2, ssdlite_mobilenet_v2
from mobilenet.network.mobilenet import mobilenet_v2
from mobilenet.values import replace

_core = pytest.importorskip("mobilenet._core", reason="the native core is not built")
from mobilenet.engine.native import Native, compile_plan, pack  # noqa: E402

PLANNED = {
    "classifier": mobilenet_v2(0.35, resolution=20, classes=5),
    "detector": ssdlite_mobilenet_v2(0.35, resolution=(17, 24), classes=2),
    "segmenter": deeplabv3_mobilenet_v2(0.35, resolution=(18, 17), classes=3, aspp="full"),
}


def image(network, seed=0):
    return np.random.default_rng(seed).standard_normal((1, 3, *network.resolution)).astype(np.float32)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(networks(), st.integers(1, 4), st.floats(0.2, 1.5))
def test_any_network_size_budget_and_threads(network, threads, share):
    """The same bits from every plan that fits; a budget below the least possible is refused with that number."""
    tensors, x = random_tensors(network), image(network)
    free = Native(network, tensors)
    expected = free(x)
    assert all(np.isfinite(value).all() for value in expected.values())
    budget = max(1, int(share * free.planned_bytes(network.resolution)))
    tight = Native(network, tensors, threads, budget)
    try:
        ours = tight(x)
    except ValueError as error:
        least = int(str(error).partition("at least ")[2].split()[0])
        assert least > budget
        ours = Native(network, tensors, threads, least)(x)
    else:
        assert tight.planned_bytes(network.resolution) <= budget
    for name, value in expected.items():
        np.testing.assert_array_equal(ours[name], value)


def mutated(plan: Plan, generator: random.Random) -> Plan:
    """The plan with one number, or one name, changed in a buffer or a step."""

    def other(value):
        if isinstance(value, tuple):  # a span or a window
            at = generator.randrange(len(value))
            changed = [*value[:at], other(value[at]), *value[at + 1 :]]
            return type(value)(*changed) if hasattr(value, "_fields") else tuple(changed)
        return value + generator.choice([-1, 1, -16, 16, 1000, -(2**31) - value, 2**31 - 1 - value])

    if generator.random() < 0.4:
        at = generator.randrange(len(plan.buffers))
        field = generator.choice(["channels", "height", "width", "slots", "left", "right", "offset"])
        buffer: Buffer = plan.buffers[at]._replace(**{field: other(getattr(plan.buffers[at], field))})
        return replace(plan, buffers=(*plan.buffers[:at], buffer, *plan.buffers[at + 1 :]))
    stages = [[list(steps) for steps in stage] for stage in plan.stages]
    steps = generator.choice([steps for stage in stages for steps in stage if steps])
    at = generator.randrange(len(steps))
    kept = {"label", "output", "corners", "conv"}
    values = {name: getattr(steps[at], name) for name in steps[at].field_options if name not in kept}
    field = generator.choice([name for name, value in values.items() if isinstance(value, (int, str, tuple)) and value != ()])
    value = getattr(steps[at], field)
    changed = generator.choice(plan.buffers).name if isinstance(value, str) else other(value)
    steps[at] = replace(steps[at], **{field: changed})
    return replace(plan, stages=tuple(tuple(map(tuple, stage)) for stage in stages))


def refused(count, plans, weights, network, threads, generator):
    """How many of `count` mutated plans the program's checks refuse; the others run."""
    refusals = 0
    for _ in range(count):
        plan = mutated(generator.choice(plans), generator)
        try:
            program = compile_plan(plan, weights, "")
        except (ValueError, struct.error):  # struct.error: past the range of a word
            refusals += 1
            continue
        outputs = [np.empty((1, *shape), np.float32) for _, shape in plan.outputs]
        _core.Runner(threads).run(program, image(network), outputs)
    return refusals


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", PLANNED)
def test_mutated_plans(name, threads):
    """Refused by the program's checks, or run inside the arena, whatever the numbers are then worth."""
    network, generator = PLANNED[name], random.Random(f"{name} {threads}")
    weights = pack(network, random_tensors(network), _core.isa())
    plans = [make_plan(network, network.resolution, threads, style) for style in (Style(), Style(1, 0, 0, 0))]
    assert refused(300, plans, weights, network, threads, generator) > 100


@pytest.mark.parametrize("made", [gridded, lambda network: quantized(network, "uint8")], ids=["our own", "published"])
@pytest.mark.parametrize("threads", [1, 2])
def test_mutated_integer_plans(threads, made):
    """The same in integers."""
    network = mobilenet_v2(0.35, resolution=20, classes=5, epsilon=None)
    tensors, quantization = made(network)
    integers, generator = integers_of(network, quantization), random.Random(threads)
    weights = pack_integers(network, tensors, quantization, integers, _core.isa())
    plans = [make_plan(network, network.resolution, threads, style, U8, integers) for style in (Style(), Style(1, 0, 0, 0))]
    assert refused(300, plans, weights, network, threads, generator) > 100


@pytest.mark.parametrize("threads", [1, 2])
def test_mutated_bf16_plans(threads):
    """The same where products read bfloat16; on processors without tiles in plain loops."""
    network, generator = ssdlite_mobilenet_v2(0.35, resolution=20, classes=2), random.Random(threads)
    weights = pack(network, random_tensors(network), _core.isa(), "bf16")
    plans = [make_plan(network, network.resolution, threads, style, BF16) for style in (Style(), Style(1, 0, 0, 0))]
    assert refused(200, plans, weights, network, threads, generator) > 70


@settings(deadline=None, max_examples=40, derandomize=True)
@given(networks(), st.integers(1, 3), STYLES)
def test_any_style_compiles(network, threads, style):
    """What the planner makes, the program's checks let pass."""
    weights = pack(network, random_tensors(network), _core.isa())
    compile_plan(make_plan(network, network.resolution, threads, style), weights, "")


def test_damaged_model_files(tmp_path):
    """Bytes changed, cut off or put in: the file is refused, or the engine runs what it says."""
    path, generator = tmp_path / "toy.safetensors", random.Random(0)
    modelfile.write(toy(), path)
    sound = path.read_bytes().replace(b'"checksum"', b'"no-check"', 1)  # which would refuse them all
    refused = 0
    for _ in range(150):
        content = bytearray(sound)
        for _ in range(generator.randint(1, 3)):
            limit = generator.choice([16, 2000, 60000, len(content)])
            content[generator.randrange(min(limit, len(content)))] = generator.randrange(256)
        cut = generator.choice([len(content), len(content), generator.randrange(len(content))])
        path.write_bytes(bytes(content[:cut]) + generator.randbytes(generator.choice([0, 0, 5])))
        try:
            with np.errstate(all="ignore"):
                mobilenet.load(path, threads=1)(IMAGE)
        except ModelFileError:
            refused += 1
        path.unlink()  # a file in use is replaced, not written into
    assert 30 < refused < 150
