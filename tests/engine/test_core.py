"""The core without Python: every compiler and library takes it, and its own tests pass (native/README.md)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.models import IMAGE, PAD, detector, segmenter, toy
from support.paths import ROOT

import mobilenet
from mobilenet.errors import UsageError
from mobilenet.exports.c_file import CExporter
from mobilenet.exports.exporter import Content, ExportError, PlainFile
from mobilenet.images.preprocessing import Preprocessing
from mobilenet.modelfile import ModelFile
from mobilenet.values import replace

NATIVE = ROOT / "native"
TESTS = sorted(path.stem for path in (NATIVE / "tests").glob("*.cc"))
ISAS = sorted({path.stem for path in (NATIVE / "isa").glob("*.cc")} - {"isa", "portable"})
CORE = [*sorted((NATIVE / "core").glob("*.cc")), NATIVE / "isa" / "isa.cc", NATIVE / "isa" / "portable.cc"]
VARIANTS = {
    "gcc": ("g++",),
    "gcc, without mmap and threads": ("g++", "-DMOBILENET_NO_MMAP", "-DMOBILENET_NO_THREADS"),
    "clang": ("clang++",),
    "clang, libc++": ("clang++", "-stdlib=libc++"),
    "clang, libc++, without mmap and threads": ("clang++", "-stdlib=libc++", "-DMOBILENET_NO_MMAP", "-DMOBILENET_NO_THREADS"),
    "gcc for AArch64": ("aarch64-linux-gnu-g++", "-DMOBILENET_NEON"),
}

SAME = {"gcc": "gcc for AArch64", "clang": "clang, libc++"}
"""Variants whose warnings are those of another one, which compiles more of what differs; they run where that one cannot."""


def run(command: list, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout)


def missing(name: str) -> str:
    """What the variant needs and this machine does not have."""
    compiler, *flags = VARIANTS[name]
    if shutil.which(compiler) is None:
        return f"{compiler} is not installed"
    with tempfile.NamedTemporaryFile("w", suffix=".cc") as probe:
        probe.write("#include <cstddef>\n")
        probe.flush()
        found = run([compiler, *flags, "-fsyntax-only", probe.name]).returncode == 0
    return "" if found else f"{' '.join([compiler, *flags])} finds no standard library"


@pytest.mark.parametrize("name", VARIANTS)
def test_the_core_compiles_without_warnings(name):
    if name in SAME and not missing(SAME[name]):
        pytest.skip(f"the same compiler's front end runs for {SAME[name]}; `make test` builds this variant")
    if reason := missing(name):
        pytest.skip(reason)
    compiler, *flags = VARIANTS[name]
    # Without mmap and threads, only the files that ask for these are others.
    files = [path for path in CORE if "without" not in name or "MOBILENET_NO_" in path.read_text()]
    assert files
    command = [compiler, "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *flags, *map(str, files)]
    done = run(command)
    assert done.returncode == 0, done.stderr


def build(*targets: str) -> Path:
    """Native tests, built beside the core of `make test` if that is there; the second time only what has changed."""
    for tool in ("cmake", "g++"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    folder, configure = ROOT / "build" / "tests", []
    if not (folder / "CMakeCache.txt").is_file():
        folder = ROOT / "build" / "native-tests"
        configure = [["cmake", "-S", ROOT, "-B", folder, "-DMOBILENET_NATIVE_TESTS=ON"]]
    for command in (*configure, ["cmake", "--build", folder, "-j2", "--target", *targets]):
        done = run(command)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def built() -> Path:
    return build("native_tests")


@pytest.fixture(scope="module")
def interface() -> Path:
    """The programs in C."""
    return build("native_interface", "example_classify")


@pytest.mark.parametrize("name", TESTS)
def test_native_tests(built, name):
    done = run([built / f"native_{name}"])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> dict[str, tuple[Path, ModelFile]]:
    """Models of every task as the files of the C interface."""
    folder, images = tmp_path_factory.mktemp("exported"), tmp_path_factory.mktemp("images")
    IMAGE.save(images / "image.png")
    quantized = mobilenet.quantize(toy(7), images).model
    models = {"toy": toy(7), "boxes": detector(), "masks": segmenter(), "integers": quantized}
    models["integer boxes"] = mobilenet.quantize(models["boxes"], images / "image.png").model
    for name, model in models.items():
        CExporter().write(Content(model, "int8" if model.quantization else "fp32"), folder / name)
    CExporter().write(Content(quantized, "int8", in_place=True), folder / "in place")
    models["in place"] = quantized
    return {name: (folder / name, model) for name, model in models.items()}


def test_no_failure_of_memory_or_threads_leaves_anything_behind(built, exported, monkeypatch):
    """In the C interface, on models of every task and of integers; `native_faults` without a model does the same inside."""
    folders = [folder for name, (folder, _) in exported.items() if name != "in place"]
    done = [run([built / "native_faults", *folders])]
    monkeypatch.setenv("MOBILENET_ISA", "portable")
    done.append(run([built / "native_faults", exported["in place"][0]]))
    for each in done:
        assert each.returncode == 0, each.stdout + each.stderr
    injected = "".join(each.stdout for each in done).count("all clean")
    assert injected == len(exported) or not sys.platform.startswith("linux")


@pytest.mark.parametrize(
    ("name", "other"), [("toy", "masks"), ("boxes", "toy"), ("masks", "toy"), ("integers", "toy"), ("in place", "toy")]
)
def test_the_c_interface(interface, exported, name, other, monkeypatch):
    if name == "in place":
        monkeypatch.setenv("MOBILENET_ISA", "portable")
    done = run([interface / "native_interface", exported[name][0], exported[other][0]])
    assert done.returncode == 0, done.stdout + done.stderr


def test_weights_that_are_used_in_place_give_the_same_bits(exported):
    (folder, model), (ahead, _) = exported["integers"], exported["in place"]
    image = np.random.default_rng(0).normal(size=(1, 3, 32, 32)).astype(np.float32)
    plain, packed = (CExporter().open(path, model) for path in (folder, ahead))
    assert isinstance(plain, PlainFile)
    assert isinstance(packed, PlainFile)
    np.testing.assert_array_equal(plain(image)["classifier"], packed(image)["classifier"])
    with pytest.raises(UsageError, match="in place: only integer weights of --to c"):
        mobilenet.export(toy(7), "c", ahead.with_name("other-c"), in_place=True)
    with pytest.raises(ExportError, match="in place: float weights are packed when they are loaded"):
        CExporter().write(Content(toy(7), in_place=True), ahead.with_name("other-c"))


PREPARATIONS = {
    "center_crop": Preprocessing(size=(33, 39), fit="center_crop", resize=45),
    "black edges": Preprocessing(size=(80, 39), fit="center_crop", resize=45),
    "central_fraction": Preprocessing(size=(32, 32), fit="central_fraction", fraction=0.875, interpolation="bicubic"),
    "central_part": Preprocessing(size=(32, 32), fit="central_part", fraction=0.77, interpolation="lanczos"),
    "squash": Preprocessing(size=(32, 32), fit="squash", interpolation="hamming"),
    "pad": PAD,
    "pad, small": replace(PAD, enlarge=1.0, interpolation="box"),
}


@pytest.mark.parametrize("name", PREPARATIONS)
def test_the_c_interface_prepares_images_to_the_bits_of_predict(interface, tmp_path, name):
    preprocessing = PREPARATIONS[name]
    CExporter().write(Content(replace(toy(), preprocessing=preprocessing)), tmp_path / "m-c")
    generator = np.random.default_rng(0)
    for width, height in ((40, 50), (301, 87), (7, 200), (1, 1), (33, 33)):
        pixels = generator.integers(0, 256, (height, width, 3), np.uint8)
        command = [interface / "native_interface", "--prepare", tmp_path / "m-c", str(width), str(height)]
        done = subprocess.run(command, check=False, capture_output=True, input=pixels.tobytes())
        assert done.returncode == 0, done.stdout + done.stderr
        found = np.frombuffer(done.stdout, np.float32).reshape(3, *preprocessing.size)
        np.testing.assert_array_equal(found, preprocessing(Image.fromarray(pixels)))


def test_the_example_in_c_names_an_image_as_predict_does(interface, exported, tmp_path):
    IMAGE.save(tmp_path / "image.ppm")
    (folder, model) = exported["toy"]
    done = run([interface / "example_classify", folder, tmp_path / "image.ppm"])
    assert done.returncode == 0, done.stderr
    expected = mobilenet.load(model)(IMAGE)
    assert done.stdout.splitlines() == [f"{100 * each.score:5.1f} %  {each.label}" for each in expected]
    done = run([interface / "example_classify", folder, __file__])
    assert (done.returncode, done.stderr) == (1, "classify: the image cannot be read: it must be a PPM (P6) of 8 bits\n")


@pytest.mark.parametrize("isa", ISAS)
def test_code_of_an_instruction_set_is_linked_nowhere_else(built, isa):
    """The linker keeps one of several functions of one name: each that a file may share must name a type of the file's name.

    `Avx512Vnni` of avx512vnni.cc is such a type.
    """
    objects = list(built.rglob(f"{isa}.cc.o"))
    if not objects or shutil.which("nm") is None:
        pytest.skip("no such instruction set here, or no nm")
    names = subprocess.check_output(["nm", "-C", objects[0]], text=True).splitlines()
    shared = [name for name in names if name[17:18] in "WVuwv"]
    assert shared
    assert [name for name in shared if f"::{isa}" not in name.lower()] == []


MEMORY_THAT_CANNOT_BE_HAD = """
import os, resource
import numpy as np
from mobilenet.engine.native import Native
from mobilenet.errors import MobilenetError
from mobilenet.network.heads import deeplabv3_mobilenet_v2

network = deeplabv3_mobilenet_v2(0.35, resolution=32, classes=5)
tensors = {name: np.ones(shape, np.float32) for part in (network.parameters(), network.statistics())
           for name, shape in part.items()}
native = Native(network, tensors)
small, large, many = (np.ones(shape, np.float32) for shape in ((1, 3, 32, 32), (1, 3, 1024, 1024), (4000, 3, 16, 16)))
native.plan(1024), native.plan(16), native(small)
used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (used + 4 * 2**20, resource.getrlimit(resource.RLIMIT_AS)[1]))
for images in (large, many):  # the arena, the outputs
    try:
        native(images)
    except MobilenetError as error:
        print(error.status, error)
(answer,) = native(small).values()
print(answer.shape)
"""


def test_memory_that_cannot_be_had_is_an_error_and_the_next_call_is_right():
    pytest.importorskip("mobilenet._core", reason="the native core is not built")
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc/self/statm")
    done = run([sys.executable, "-c", MEMORY_THAT_CANNOT_BE_HAD], timeout=60)
    assert done.returncode == 0, done.stderr
    arena, outputs, shape = done.stdout.splitlines()
    for line, size in ((arena, "1 x 1024x1024"), (outputs, "4000 x 16x16")):
        assert line.startswith(f"1 {size} pixels: no memory for activations and outputs; give fewer or smaller images")
    assert shape == "(1, 5, 32, 32)"


THREADS_THAT_CANNOT_START = """
import os, resource
import numpy as np
from mobilenet.engine.native import Native
from mobilenet.errors import MobilenetError
from mobilenet.network.mobilenet import mobilenet_v2

network = mobilenet_v2(0.35, resolution=32, classes=5)
tensors = {name: np.ones(shape, np.float32) for part in (network.parameters(), network.statistics())
           for name, shape in part.items()}
native, images = Native(network, tensors, threads=4), np.ones((1, 3, 32, 32), np.float32)
native.plan(32)
used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
soft, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + 4 * 2**20, hard))  # less than one thread's stack
for _ in range(2):
    try:
        native(images)
    except MobilenetError as error:
        print(error.status, error)
resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
print(native(images)["classifier"].shape)
"""


def test_a_thread_that_cannot_start_is_an_error_and_not_a_hang():
    pytest.importorskip("mobilenet._core", reason="the native core is not built")
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc/self/statm")
    done = run([sys.executable, "-c", THREADS_THAT_CANNOT_START], timeout=60)
    assert done.returncode == 0, done.stderr
    first, second, shape = done.stdout.splitlines()
    assert first == second
    assert first.startswith("1 thread 2 of 4 cannot be started: ")
    assert first.endswith("; use fewer threads")
    assert shape == "(1, 5)"
