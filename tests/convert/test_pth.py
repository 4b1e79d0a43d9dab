"""weights.pth against torch.load over everything that torch.save writes, and against everything that a forger might."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import random
import struct
import time
import tracemalloc
import warnings
import zipfile
from argparse import Namespace
from collections import Counter, OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from mobilenet.convert.readers import pickles, pth
from mobilenet.convert.readers.pickles import CheckpointError
from mobilenet.convert.readers.pth import read_pth

REAL, REAL_SHA256 = "mobilenet_v2-b0353104.pth", "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"
FORMS = ("zip", "legacy")
form_of_file = pytest.mark.parametrize("form", FORMS)


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


# ---- checkpoints by hand: an assembler of protocol 2 and the two containers, so that hostile files need no torch


@dataclass(frozen=True)
class Name:
    full: str


@dataclass(frozen=True)
class Call:
    name: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Persistent:
    identity: Any


@dataclass(frozen=True)
class Raw:
    opcodes: bytes


def assembled(value: Any) -> bytes:
    match value:
        case Raw(opcodes):
            return opcodes
        case Name(full):
            module, _, name = full.rpartition(".")
            return f"c{module}\n{name}\n".encode()
        case Call(name, arguments):
            return assembled(Name(name)) + assembled(arguments) + b"R"
        case Persistent(identity):
            return assembled(identity) + b"Q"
        case tuple():
            return b"(" + b"".join(map(assembled, value)) + b"t"
        case list():
            return b"](" + b"".join(map(assembled, value)) + b"e"
        case dict():
            return b"}(" + b"".join(assembled(key) + assembled(item) for key, item in value.items()) + b"u"
    return pickle.dumps(value, 2)[2:-1]


def tensor(shape: Any, stride: Any, offset: Any = 0, count: Any = 6, key: Any = "0", kind: str = "torch.FloatStorage") -> Call:
    storage = Persistent(("storage", Name(kind), key, "cpu", count))
    return Call("torch._utils._rebuild_tensor_v2", (storage, offset, shape, stride, False, Call("collections.OrderedDict")))


SIX = np.arange(6, dtype="<f4").tobytes()
GOOD = {"a": tensor((2, 3), (3, 1)), "b": tensor((3, 2), (1, 3)), "c": tensor((), (), 5)}


def zipped(program: bytes, records: dict[str, bytes], **others: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("any/data.pkl", program)
        for key, data in records.items():
            archive.writestr(f"any/data/{key}", data)
        for name, data in others.items():
            archive.writestr(f"any/{name}", data)
    return file.getvalue()


def legacy(program: bytes, records: dict[str, bytes], size: int = 4) -> bytes:
    head = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    tail = [(len(data) // size).to_bytes(8, "little") + data for data in records.values()]
    return b"".join([*head, program, pickle.dumps(list(records), 2), *tail])


def contained(form: str, program: bytes, records: dict[str, bytes] | None = None) -> bytes:
    return (zipped if form == "zip" else legacy)(program, {"0": SIX} if records is None else records)


def checkpoint(form: str, root: Any, records: dict[str, bytes] | None = None) -> bytes:
    return contained(form, b"\x80\x02" + assembled(root) + b".", records)


def read(tmp_path: Path, data: bytes, entry: str | None = None) -> dict[str, np.ndarray]:
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(data)
    return read_pth(path, entry)


def refusal(tmp_path: Path, data: bytes, entry: str | None = None) -> str:
    with pytest.raises(CheckpointError) as caught:
        read(tmp_path, data, entry)
    message = str(caught.value)
    assert "checkpoint.pth: " in message
    assert "; " in message
    assert "\n" not in message
    assert len(message) < 500
    return message


@form_of_file
def test_hand_made_checkpoint(tmp_path: Path, form: str) -> None:
    arrays = read(tmp_path, checkpoint(form, GOOD))
    assert list(arrays) == ["a", "b", "c"]
    assert np.array_equal(arrays["a"], [[0, 1, 2], [3, 4, 5]])
    assert np.array_equal(arrays["b"], arrays["a"].T)
    assert arrays["c"].shape == ()
    assert arrays["c"] == 5
    for array in arrays.values():
        assert type(array) is np.ndarray
        assert array.flags.c_contiguous
        assert array.flags.owndata
        assert array.flags.writeable
        assert array.dtype.isnative
    arrays["a"][:] = 7
    assert arrays["b"][0, 1] == 3  # shared in the file, not here


# ---- parity with torch


def saved(torch: Any, form: str, value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=form == "zip")
    return file.getvalue()


def assert_parity(
    torch: Any, tmp_path: Path, form: str, value: Any, at: Any = lambda root: root, prefix: str = "", **entry: str
) -> None:
    data = saved(torch, form, value)
    arrays = read(tmp_path, data, **entry)
    expected = at(torch.load(io.BytesIO(data), weights_only=True))
    assert [prefix + name for name in arrays] == list(expected)
    for name, array in arrays.items():
        other = expected[prefix + name].detach()
        other = (other.float() if other.dtype == torch.bfloat16 else other).numpy()
        assert array.dtype == other.dtype
        assert array.dtype.isnative
        assert array.shape == other.shape
        assert array.tobytes() == other.tobytes()
        assert array.flags.c_contiguous


@form_of_file
def test_every_dtype_and_shape(torch: Any, tmp_path: Path, form: str) -> None:
    noise = torch.randint(0, 256, (96,), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    state = {"bool": torch.tensor([[True, False], [False, True]])}
    for name in sorted({*pickles.STORAGES.values()} - {"bool"}):
        dtype = getattr(torch, name)
        state[name] = noise.clone().view(dtype)
        state[f"{name}.scalar"] = state[name][1].clone()
        state[f"{name}.part"] = state[name][1:][::2]
        state[f"{name}.empty"] = torch.empty(3, 0, 2, dtype=dtype)
    assert_parity(torch, tmp_path, form, state)


@form_of_file
@pytest.mark.parametrize("name", ["uint16", "uint32", "uint64"])
def test_dtypes_without_storage_class(torch: Any, tmp_path: Path, form: str, name: str) -> None:
    if not hasattr(torch, name):
        pytest.skip(f"this torch has no {name}")
    state = {"a": torch.arange(24, dtype=torch.uint8).view(getattr(torch, name))[1:]}
    if form == "zip":  # torch does not load its own older form of these
        assert_parity(torch, tmp_path, form, state)
    array = read(tmp_path, saved(torch, form, state))["a"]
    assert array.dtype == name
    assert array.tobytes() == bytes(range(array.itemsize, 24))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_views_of_shared_storages(torch: Any, tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    base = torch.arange(60.0)
    views = {}
    for index in range(data.draw(st.integers(1, 4))):
        shape = data.draw(st.lists(st.integers(0, 4), max_size=3))
        stride = [data.draw(st.integers(0, 5)) for _ in shape]
        views[f"v{index}"] = base.as_strided(shape, stride, data.draw(st.integers(0, 14)))
    assert_parity(torch, tmp_path_factory.getbasetemp(), data.draw(st.sampled_from(FORMS)), views)


@form_of_file
def test_parameters_and_wrappers(torch: Any, tmp_path: Path, form: str) -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Conv2d(3, 3, 3))
    net[2].weight = net[0].weight  # tied
    state = net.state_dict()
    assert state._metadata  # reaches the reader as BUILD
    assert_parity(torch, tmp_path, form, state)
    assert_parity(torch, tmp_path, form, net.state_dict(keep_vars=True))
    assert_parity(torch, tmp_path, form, OrderedDict(state))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net(torch.zeros(1, 3, 8, 8)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5]).state_dict()  # holds a Counter
    around = {
        "epoch": 3,
        "best_acc": 0.7,
        "optimizer": optimizer.state_dict(),
        "schedule": schedule,
        "shape": state["0.weight"].shape,
    }
    for key in pth.WRAPPERS[::3]:
        assert_parity(torch, tmp_path, form, around | {key: state}, lambda root, key=key: root[key])
    assert_parity(torch, tmp_path, form, {"student": state, "model": state}, lambda root: root["student"], entry="student")


@form_of_file
def test_prefixes(torch: Any, tmp_path: Path, form: str) -> None:
    def prefixed(prefix: str) -> dict[str, Any]:
        return {f"{prefix}{name}": torch.full((2,), 1.0) for name in ("conv.weight", "module.bias", "x_orig_mod.y")}

    for prefix in ("", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."):
        assert_parity(torch, tmp_path, form, prefixed(prefix), prefix=prefix)
    assert list(read(tmp_path, saved(torch, form, {"module.a": torch.ones(1), "b": torch.ones(1)}))) == ["module.a", "b"]
    average = torch.optim.swa_utils.AveragedModel(torch.nn.Linear(2, 3))
    assert list(read(tmp_path, saved(torch, form, average.state_dict()))) == ["weight", "bias"]


@form_of_file
def test_mobilenet(torch: Any, tmp_path: Path, form: str) -> None:
    models = pytest.importorskip("torchvision.models")
    assert_parity(torch, tmp_path, form, models.mobilenet_v2(weights=None).state_dict())


def test_zip_without_checksums(torch: Any, tmp_path: Path) -> None:
    if not hasattr(torch.serialization, "set_crc32_options"):
        pytest.skip("this torch always writes checksums")
    torch.serialization.set_crc32_options(False)
    try:
        assert_parity(torch, tmp_path, "zip", {"a": torch.arange(5)})
    finally:
        torch.serialization.set_crc32_options(True)


def test_the_published_file() -> None:
    caches = [Path(os.environ.get("TORCH_HOME", Path.home() / ".cache" / "torch")) / "hub" / "checkpoints" / REAL]
    path = next((path for path in [Path(os.environ.get("MOBILENET_PTH", "")), *caches] if path.is_file()), None)
    if path is None:
        pytest.skip(f"{REAL} is neither at $MOBILENET_PTH nor in torch's cache")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == REAL_SHA256
    arrays = read_pth(path)
    trained = [array for name, array in arrays.items() if name.endswith(("weight", "bias"))]
    assert len(arrays) == 314
    assert sum(array.size for array in trained) == 3_504_872
    assert all(np.isfinite(array).all() for array in arrays.values())
    torch = pytest.importorskip("torch")
    for name, expected in torch.load(path, weights_only=True).items():
        assert np.array_equal(arrays[name], expected.numpy())
        assert arrays[name].shape == expected.shape


def test_big_endian_and_odd_bools(tmp_path: Path) -> None:
    root = {"x": tensor((6,), (1,)), "y": tensor((2,), (1,), 0, 2, "1", "torch.BoolStorage")}
    program, records = b"\x80\x02" + assembled(root) + b".", {"0": np.arange(6, dtype=">f4").tobytes(), "1": b"\0\7"}
    arrays = read(tmp_path, zipped(program, records, byteorder=b"big"))
    assert np.array_equal(arrays["x"], np.arange(6))
    assert arrays["x"].dtype.isnative
    assert arrays["y"].tobytes() == b"\0\1"  # a bool of 7 would be neither true nor false to numpy


# ---- code


@form_of_file
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_never_runs(tmp_path: Path, form: str, protocol: int) -> None:
    trace = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> Any:
            return os.system, (f"echo > {trace}",)

    program = pickle.dumps({"state_dict": {"a": Evil()}}, protocol)
    for data in (contained(form, program), program, legacy(program[:-1] + b"0.", {}), legacy(b"N.", {}) + program):
        message = refusal(tmp_path, data)
        assert protocol != 2 or data == legacy(b"N.", {}) + program or f"{os.system.__module__}.system" in message
    assert not trace.exists()


@form_of_file
@pytest.mark.parametrize(
    "name",
    ["builtins.eval", "builtins.set", "torch.load", "torch.hub.load", "numpy.load", "mobilenet.convert.readers.pth.read_pth"],
)
def test_names_outside_the_list_are_refused(tmp_path: Path, form: str, name: str) -> None:
    assert name in refusal(tmp_path, checkpoint(form, {"a": Call(name, ("x",))}))
    assert name in refusal(tmp_path, checkpoint(form, GOOD | {"a": Name(name)}))


@form_of_file
def test_training_arguments(tmp_path: Path, form: str) -> None:
    message = refusal(tmp_path, contained(form, pickle.dumps({"args": Namespace(lr=0.1), "model": {}}, 2)))
    assert "argparse.Namespace" in message
    assert "state dict alone" in message


@form_of_file
def test_sparse_and_quantized(tmp_path: Path, form: str) -> None:
    assert "to_dense" in refusal(tmp_path, checkpoint(form, {"a": Call("torch._utils._rebuild_sparse_tensor")}))
    assert "dequantize" in refusal(tmp_path, checkpoint(form, {"a": Call("torch._utils._rebuild_qtensor")}))


def test_allowed_names_do_only_what_weights_need(tmp_path: Path) -> None:
    rebuild = "torch._utils._rebuild_tensor_v2"
    stored = Persistent(("storage", Name("torch.FloatStorage"), "0", "cpu", 6))
    for call in (
        Call(rebuild),
        Call(rebuild, (stored, 0, [2], (1,), False, None)),
        Call(rebuild, (stored, 0, (2,), (1,), False, None, {"conj": True})),
        Call(rebuild, (None, 0, (2,), (1,), False, None)),
        Call("torch._utils._rebuild_tensor_v3", (stored, 0, (2,), (1,), False, None, Name("torch.uint16"))),
        Call("torch._utils._rebuild_parameter", ("text", True, None)),
        Call("collections.OrderedDict", ([["a", 1]],)),
        Call("torch.FloatStorage", (5,)),
        Call(rebuild, tuple(range(9))),
        Raw(b"NNR"),
        Raw(assembled(tensor((2,), (1,))) + b"}b"),  # attributes on a tensor
        Raw(b"cposix\nsystem\n"),
        Raw(b"ctorch\\o\nx\\y\n"),  # escapes, which pickletools warns of
        Raw(b"ctorch\nFloatStorage"),
        Raw(assembled(Name(rebuild)) + b")\x81"),  # NEWOBJ
    ):
        refusal(tmp_path, checkpoint("zip", GOOD | {"x": call}))
    cpu = "0", "cpu"
    storage = Name("torch.FloatStorage")
    for identity in (
        "x",
        ("storage",),
        ("module", storage, *cpu, 6),
        ("storage", "torch.FloatStorage", *cpu, 6),
        ("storage", Name("torch.Size"), *cpu, 6),
        ("storage", storage, 0, "cpu", 6),
        ("storage", storage, *cpu, -6),
        ("storage", storage, *cpu, 1 << 63),
        ("storage", storage, *cpu, "6"),
        ("storage", storage, *cpu, 6, ("view", 0, 6)),
    ):
        refusal(tmp_path, checkpoint("zip", {"x": Persistent(identity)}))
    assert "two ways" in refusal(tmp_path, checkpoint("zip", {"a": tensor((2,), (1,)), "b": tensor((2,), (1,), count=3)}))
    arrays = read(tmp_path, checkpoint("zip", {"model": GOOD, "milestones": Call("collections.Counter", ({3: 1},))}))
    assert len(arrays) == len(GOOD)


# ---- views, containers, structure


@form_of_file
@pytest.mark.parametrize(
    ("shape", "stride", "offset"),
    [
        ((7,), (1,), 0), ((6,), (1,), 1), ((2,), (6,), 0), ((), (), 6), ((2, 3), (3, 2), 0), ((2,), (1 << 62,), 0),
        ((1 << 62,), (1,), 0), ((1,), (1,), 1 << 62), ((2,), (-1,), 3), ((-2,), (1,), 0), ((2,), (1,), -1), ((2,), (1, 1), 0),
        ((1,) * 33, (1,) * 33, 0), ((1 << 64,), (1,), 0), ((0, 1 << 62), (1, 1), 0), ((1 << 20,), (0,), 0),
        ((1 << 40,), (0,), 0), ((1 << 31, 1 << 31), (0, 0), 0), ((True,), (1,), 0), ((2.0,), (1,), 0), (("2",), (1,), 0),
        (((2,),), (1,), 0), ((2,), (1,), "0"), ((2,), (1,), None),
    ],
)  # fmt: skip
def test_views_outside_their_storage(tmp_path: Path, form: str, shape: Any, stride: Any, offset: Any) -> None:
    tracemalloc.start()
    try:
        refusal(tmp_path, checkpoint(form, {"a": tensor(shape, stride, offset)}))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@form_of_file
def test_views_that_are_unusual_but_right(tmp_path: Path, form: str) -> None:
    root = {
        "expanded": tensor((1000,), (0,), 5),
        "single": tensor((1, 2), (1 << 62, 5)),
        "none": tensor((0, 9), (1 << 62, 1), 1 << 62),
    }
    arrays = read(tmp_path, checkpoint(form, root))
    assert (arrays["expanded"] == 5).all()
    assert arrays["single"].tolist() == [[0, 5]]
    assert arrays["none"].shape == (0, 9)


@form_of_file
def test_many_views_of_one_storage_are_bounded(tmp_path: Path, form: str) -> None:
    count = 1 << 18
    root = {f"t{index}": tensor((count,), (1,), 0, count) for index in range(1000)}  # a gigabyte out of one megabyte
    data = checkpoint(form, root, {"0": bytes(4 * count)})
    tracemalloc.start()
    try:
        assert "four times" in refusal(tmp_path, data)
        assert tracemalloc.get_traced_memory()[1] < 5 * len(data) + (4 << 20)
    finally:
        tracemalloc.stop()


def test_storages_that_do_not_match(tmp_path: Path) -> None:
    program = b"\x80\x02" + assembled(GOOD) + b"."
    for records in ({}, {"0": SIX[:-4]}, {"0": SIX + SIX}, {"1": SIX}, {"0": b""}):
        for form in FORMS:
            refusal(tmp_path, contained(form, program, records))
    good = legacy(program, {"0": SIX})
    assert read(tmp_path, good)
    keys = good.index(pickle.dumps(["0"], 2))
    for wrong in (["0", "0"], ["0", "1"], [0], [["0"]], "0", None, {}, [("0",)]):
        refusal(tmp_path, good[:keys] + pickle.dumps(wrong, 2) + good[-32:])
    for data in (
        good + b"\0",
        good[:-1],
        good[:-32] + b"\xff" * 32,
        good[:-32] + bytes([7]) + good[-31:],
        good.replace(b"M\xe9\x03", b"M\xea\x03"),
    ):
        refusal(tmp_path, data)


def test_zip_tricks(tmp_path: Path) -> None:
    program = b"\x80\x02" + assembled(GOOD) + b"."
    good = zipped(program, {"0": SIX}, version=b"3\n", byteorder=b"little")
    assert read(tmp_path, good)
    assert "cut short" in refusal(tmp_path, good + b"\0")
    refusal(tmp_path, b"PK\3\4" + good)
    refusal(tmp_path, good[:-22] + b"PK\5\6" + b"\xff" * 18)
    assert "checksum" in refusal(tmp_path, good.replace(SIX, SIX[::-1]))
    assert "byteorder" in refusal(tmp_path, zipped(program, {"0": SIX}, byteorder=b"middle"))
    assert "after its end" in refusal(tmp_path, zipped(program + b"N.", {"0": SIX}))
    assert "missing" in refusal(tmp_path, zipped(program, {"00": SIX}))
    assert "at most" in refusal(tmp_path, zipped(b"\x80\x02" + b"0" * pickles.MAX_PICKLE, {"0": SIX}))

    def written(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
        file = io.BytesIO()
        with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as archive:
            warnings.simplefilter("ignore")  # zipfile's, of duplicates
            for name, data in members:
                archive.writestr(name, data)
        return file.getvalue()

    members = ("x/data.pkl", program), ("x/data/0", SIX)
    assert read(tmp_path, written(*members))
    assert "compressed" in refusal(tmp_path, written(*members, method=zipfile.ZIP_DEFLATED))
    assert "twice" in refusal(tmp_path, written(*members, members[1]))
    assert "2 records" in refusal(tmp_path, written(*members, ("y/data.pkl", program)))
    assert "0 records" in refusal(tmp_path, written(("data.pkl", program), ("data/0", SIX)))
    assert "missing" in refusal(tmp_path, written(members[0], ("y/data/0", SIX)))
    assert "broken" in refusal(tmp_path, written(*members, ("x/\u00e9", b"")).replace("\u00e9".encode(), b"\xff\xff"))
    data = bytearray(written(*members, ("x/data/1", SIX)))
    entry = data.rindex(b"x/data/1") - 46
    struct.pack_into("<I", data, entry + 42, data.index(b"x/data/0") - 30)  # the third entry points at the second record
    assert "not where" in refusal(tmp_path, bytes(data))
    data = bytearray(written(*members))
    struct.pack_into("<H", data, data.index(b"PK\1\2") + 8, 1)
    assert "encrypted" in refusal(tmp_path, bytes(data))


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    assert "empty" in refusal(tmp_path, b"")
    assert "<!DOCTYPE" in refusal(tmp_path, b"<!DOCTYPE html>" + bytes(500))
    assert "tar form" in refusal(tmp_path, b"storages".ljust(257, b"\0") + b"ustar\x0000" + bytes(800))
    assert "not by torch.save" in refusal(tmp_path, pickle.dumps({"a": 1}, 2))
    assert "protocol 4" in refusal(tmp_path, pickle.dumps({"a": 1}, 4))
    with pytest.raises(FileNotFoundError):
        read_pth(tmp_path / "absent.pth")
    with pytest.raises(CheckpointError, match="regular file"):
        read_pth(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(CheckpointError, match="regular file"):
            read_pth(tmp_path / "pipe")


@form_of_file
def test_where_the_tensors_are(tmp_path: Path, form: str) -> None:
    for root in (
        tensor((6,), (1,)),
        [tensor((6,), (1,))],
        3,
        None,
        {},
        {"epoch": 3},
        {"model": {}},
        {"generator": GOOD},
        {"model": {"net": GOOD}},
    ):
        refusal(tmp_path, checkpoint(form, root, {"0": SIX} if b"Q" in assembled(root) else {}))
    several = checkpoint(form, {"model": GOOD, "model_ema": {"a": tensor((), (), 3)}, "epoch": 3})
    message = refusal(tmp_path, several)
    assert "'model'" in message
    assert "'model_ema'" in message
    assert "entry=" in message
    assert list(read(tmp_path, several, "model")) == list(GOOD)
    assert read(tmp_path, several, "model_ema")["a"] == 3
    for entry in ("epoch", "absent", ""):
        assert repr(entry) in refusal(tmp_path, several, entry)
    assert "'generator' (dict)" in refusal(tmp_path, checkpoint(form, {"generator": GOOD}))
    assert list(read(tmp_path, checkpoint(form, {"generator": GOOD}), "generator")) == list(GOOD)
    for key, value in (
        ("epoch", 3),
        (5, tensor((), ())),
        ("x" * 2000, tensor((), ())),
        ("a\nb", tensor((), ())),
        ("sub", GOOD),
    ):
        refusal(tmp_path, checkpoint(form, GOOD | {key: value}))
        refusal(tmp_path, checkpoint(form, {"state_dict": GOOD | {key: value}}))


# ---- time and memory


@form_of_file
def test_bombs(tmp_path: Path, form: str) -> None:
    laughs = b"]q\0" + b"".join(b"](" + b"h%c" % i * 9 + b"eq%c" % (i + 1) for i in range(60))
    doubled = b")q\0" + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(60))
    collisions = b"".join(assembled(i * ((1 << 61) - 1)) + b"N" for i in range(1, 5_000))
    bombs = {
        "huge memo index": b"Nr\xff\xff\xff\xff",
        "billion laughs": laughs,
        "billion laughs as a value": b"}" + assembled("a") + laughs + b"s",
        "tuple doubled 60 times, as a key": b"}" + doubled + b"Ns",
        "tuple doubled 60 times, as a shape": b"}" + assembled("a") + assembled(tensor(Raw(doubled), (1,))) + b"s",
        "deep list": b"]" * 100_000 + b"a" * 99_999,
        "deep tuple": b")" + b"\x85" * 100_000,
        "marks": b"(" * 100_000,
        "dicts": b"}" * 600_000,
        "itself": b"]q\0h\0a",
        "colliding keys": b"}(" + collisions + b"u",
        "wide call": b"(" + b"N" * 100_000 + b"tq\0" + b"ccollections\nCounter\nq\1h\0R" * 100,
        "long integer": b"\x8b" + struct.pack("<i", 1_000_000) + b"\xff" * 1_000_000,
        "long integer in digits": b"I" + b"9" * 1_000_000 + b"\n",
        "long string declared": b"X\xff\xff\xff\xff",
        "bytes declared": b"\x8e" + b"\xff" * 8,
        "endless name": b"c" + b"a" * 1_000_000,
        "name of a megabyte": b"}" + assembled("module." * 150_000) + assembled(tensor((), ())) + b"s",
        "no storage": b"NQ",
        "empty stack": b"0",
        "memo of nothing": b"h\5",
        "mark under nothing": b"t",
        "odd pairs": b"}(Nu",
        "not UTF-8": b"X\1\0\0\0\xff",
    }
    for name, bomb in bombs.items():
        data = contained(form, b"\x80\x02" + bomb + b".", {"0": SIX} if b"Q" in bomb else {})
        begin = time.perf_counter()
        refusal(tmp_path, data)
        assert time.perf_counter() - begin < 10, name  # the slowest, at the limit of steps, took 0.8 s
    tracemalloc.start()
    try:
        for name in ("huge memo index", "long string declared", "bytes declared", "long integer"):
            refusal(tmp_path, contained(form, b"\x80\x02" + bombs[name] + b".", {}))
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


# ---- damage


@form_of_file
def test_cut_anywhere(tmp_path: Path, form: str) -> None:
    data = checkpoint(form, GOOD)
    for length in range(len(data)):
        refusal(tmp_path, data[:length])


@pytest.mark.parametrize("part", ["zip", "legacy", "program"])
def test_random_damage(tmp_path: Path, part: str) -> None:
    """Changed, lost and repeated bytes are read or refused, never anything else; in `program` the checksums come after."""
    random_ = random.Random(part)
    parameter = Call("torch._utils._rebuild_parameter", (tensor((2,), (2,)), True, None))
    untyped = Persistent(("storage", Name("torch.storage.UntypedStorage"), "1", "cpu", 24))
    short = Call("torch._utils._rebuild_tensor_v3", (untyped, 1, (2, 2), (2, 1), False, None, Name("torch.uint16")))
    state = {"module.w": parameter, "module.c": GOOD["b"]} | ({} if part == "legacy" else {"module.b": short})
    program = b"\x80\x02" + assembled({"epoch": 3, "best": 0.5, "state_dict": state}) + b"."
    good = {"zip": lambda p: zipped(p, {"0": SIX, "1": SIX}), "legacy": lambda p: legacy(p, {"0": SIX}), "program": lambda p: p}
    source = good[part](program)
    outcomes: Counter[str] = Counter()
    tracemalloc.start()
    try:
        for _ in range(1000):
            data = bytearray(source)
            for _ in range(random_.choice((1, 1, 1, 2, 5))):
                at, length = random_.randrange(len(data)), random_.randrange(1, 9)
                match random_.randrange(5):
                    case 0:
                        del data[at : at + length]
                    case 1:
                        data[at:at] = data[at : at + length]
                    case _:
                        data[at] = random_.choice((data[at] ^ 1 << random_.randrange(8), random_.randrange(256), 0, 255))
            try:
                arrays = read(tmp_path, zipped(bytes(data), {"0": SIX, "1": SIX}) if part == "program" else bytes(data))
                assert all(array.flags.c_contiguous for array in arrays.values())
                outcomes["read"] += 1
            except CheckpointError:
                outcomes["refused"] += 1
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert min(outcomes["refused"], outcomes["read"]) > 20, outcomes
