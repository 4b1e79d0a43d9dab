"""The house: which room may import which, the device world without torch, quick starts, and what the text files promise."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys

import pytest
import rooms
from PIL import Image
from support.models import IMAGE, detector, segmenter, toy
from support.paths import ROOT

import mobilenet
from mobilenet import modelfile
from mobilenet.zoo import published

PACKAGE = ROOT / "src" / "mobilenet"
DEVICE = ("numpy", "PIL", "safetensors", "click", "platformdirs", "tabulate")
TRAINING = (
    "torch",
    "torchvision",
    "lightning_fabric",
    "tensorboard",
    "timm",
    "transformers",
    "keras",
    "h5py",
    "matplotlib",
    "faster_coco_eval",
)

MAX_ANY = 160
"""Uses of `Any` in the package, imports not counted."""

TORCH = ("nn", "training")
"""The rooms that may import torch at the top of a file."""

WITHOUT = f"import sys\nfor name in {TRAINING!r}: sys.modules[name] = None\n"


def python(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_imports_run_one_way():
    """Each room imports only rooms below it, and no module is part of a circle (imports inside functions count)."""
    graph = rooms.room_imports()
    assert set(graph) == set(rooms.TOWER), "a room that the tower of tools/rooms.py does not have, or the other way round"
    assert rooms.upward(graph) == []
    rooms.floors(graph)
    rooms.floors(rooms.module_imports())


@pytest.mark.parametrize(
    ("lower", "uppers"),
    [
        ("images", ("engine",)),
        ("modelfile", ("engine",)),
        ("tasks", ("engine",)),
        ("data", ("predict",)),
        ("data", ("network/catalog",)),
    ],
)
def test_what_a_room_never_knows(lower, uppers):
    """Type checkers' imports count here."""
    known = {
        target
        for name, targets in rooms.module_imports(types=True).items()
        if name and rooms.room(name) == lower
        for target in targets
    }
    assert not {name for name in known if name.replace(".", "/").startswith(uppers)}


def test_the_device_world_never_imports_the_training_world():
    for name, path in rooms.modules_by_name.items():
        heavy = {target for target, top in rooms.imported(path) if top and target.partition(".")[0] in TRAINING}
        assert name.partition(".")[0] in TORCH or not heavy, f"{name} imports {heavy} at its top"


def test_no_file_outgrows_its_noun():
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, f"{path.name}: split it by noun"
        assert path.stem not in ("utils", "util", "misc", "common", "helpers")


def test_few_any():
    """`Any` switches the type checker off, so it stands only where something untyped comes in (see CONTRIBUTING)."""
    names = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py*"))
        if path.suffix in (".py", ".pyi")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name) and node.id == "Any"
    ]
    assert len(names) <= MAX_ANY, (
        f"{len(names)} uses of Any, at most {MAX_ANY}: write object for what is only passed on or checked, a TypedDict for a "
        "JSON object of ours, tensors.Array for an array of any type, a Protocol for a foreign thing; lower MAX_ANY if you can"
    )


def test_no_function_is_too_long():
    """80 lines, the docstring among them."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 80, f"{path.name}: {node.name}"


def test_everything_of_the_device_world_without_torch(tmp_path):
    """import, cost, convert of a .pth, predict and evaluate, with every training package unimportable."""
    for model, name in ((toy(), "toy"), (detector(), "boxes"), (segmenter(), "masks")):
        modelfile.write(model, tmp_path / f"{name}.safetensors")
    for name in ("a", "one/a", "voc/JPEGImages", "voc/SegmentationClass"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("a/p.png", "one/a/p.png", "voc/JPEGImages/p.jpg"):
        IMAGE.save(tmp_path / name)
    Image.new("L", IMAGE.size, 1).save(tmp_path / "voc" / "SegmentationClass" / "p.png")
    code = WITHOUT + (
        "from click.testing import CliRunner\n"
        "from mobilenet.cli.main import main\n"
        "import mobilenet; mobilenet.load; mobilenet.mobilenet_v2\n"
        "folder = sys.argv[1]\n"
        "for arguments in (['cost', 'mobilenet_v2'], ['models'], ['cost', 'deeplabv3_mobilenet_v2'],\n"
        "                  *(['predict', folder + '/a', '--model', f'{folder}/{name}.safetensors', '--save', folder + '/out']\n"
        "                    for name in ('toy', 'boxes', 'masks')),\n"
        "                  ['evaluate', '--data', folder + '/one', '--model', folder + '/toy.safetensors', '--json'],\n"
        "                  ['evaluate', '--data', folder + '/voc', '--model', folder + '/masks.safetensors', '--json']):\n"
        "    result = CliRunner().invoke(main, arguments)\n"
        "    assert result.exit_code == 0, (arguments, result.output, result.exception)\n"
        "result = CliRunner().invoke(main, ['evaluate', '--data', folder + '/one', '--model', folder + '/toy.safetensors',\n"
        "                                   '--backend', 'torch'])\n"
        "assert result.exit_code == 2 and \"pip install 'mobilenet[train]'\" in result.output, result.output\n"
        "result = CliRunner().invoke(main, ['train', 'shapes_classify', '--out', folder + '/run'])\n"
        "assert result.exit_code == 2 and \"pip install 'mobilenet[train]'\" in result.output, result.output\n"
        "assert not any(name in sys.modules and sys.modules[name] for name in ('torch', 'torchvision'))\n"
    )
    python(code, str(tmp_path))


def test_a_checkpoint_converts_without_torch(tmp_path):
    torch = pytest.importorskip("torch")
    models = pytest.importorskip("torchvision").models
    torch.save(models.mobilenet_v2(width_mult=0.35).state_dict(), tmp_path / "w.pth")
    code = WITHOUT + (
        "from mobilenet.convert.convert import convert\n"
        "from mobilenet import modelfile\n"
        "modelfile.write(convert(sys.argv[1] + '/w.pth').model, sys.argv[1] + '/w.safetensors')\n"
    )
    python(code, str(tmp_path))
    assert modelfile.read(tmp_path / "w.safetensors").network.settings.width == 0.35


@pytest.mark.parametrize(
    "code", ["import mobilenet", "from mobilenet.cli.main import main; main(['--help'], standalone_mode=False)"]
)
def test_starts_in_under_a_fifth_of_a_second(code):
    """Processor time of the whole process, interpreter included; the best of several, since the machine may be busy."""

    def processor_seconds() -> float:
        before = os.times()
        python(code)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(processor_seconds() for _ in range(5)) < 0.2


def test_help_loads_nothing_heavy():
    heavy = ("numpy", "PIL", "safetensors", "torch", "tabulate")
    code = "import sys; from mobilenet.cli.main import main; main(['--help'], standalone_mode=False); "
    assert python(code + f"print(set({heavy}) & sys.modules.keys())").strip().endswith("set()")


def test_a_photo_is_named_without_numpy(tmp_path):
    """Its import would take longer than all the rest."""
    pytest.importorskip("mobilenet._core", reason="the native core is not built")
    modelfile.write(toy(), tmp_path / "toy.safetensors")
    IMAGE.save(tmp_path / "p.jpg")
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "import mobilenet; from mobilenet.cli.main import main\n"
        "model, photo = sys.argv[1] + '/toy.safetensors', sys.argv[1] + '/p.jpg'\n"
        "print(mobilenet.load(model, threads=1)(photo).top(2))\n"
        "main(['predict', photo, '--model', model, '--json'], standalone_mode=False)\n"
    )
    assert python(code, str(tmp_path)).count("label") == 5


def test_a_photo_is_named_with_few_imports(tmp_path):
    """Each of these takes longer to import than a part of the work takes to do. Instructions are counted by
    ``tools/measure_start.py --instructions``."""
    pytest.importorskip("mobilenet._core", reason="the native core is not built")
    modelfile.write(toy(), tmp_path / "toy.safetensors")
    IMAGE.save(tmp_path / "p.jpg")
    code = (
        "import sys; from mobilenet.cli.main import main\n"
        "main(['predict', sys.argv[1] + '/p.jpg', '--model', sys.argv[1] + '/toy.safetensors'], standalone_mode=False)\n"
        "print(len([name for name in sys.modules if name.startswith('mobilenet')]))\n"
        "heavy = {'numpy', 'safetensors', 'tabulate', 'platformdirs', 'torch', 'hashlib', 'fractions', 'importlib.metadata',\n"
        "         'pathlib', 'dataclasses', 'urllib.parse', 'fnmatch'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    assert int(python(code, str(tmp_path)).splitlines()[-1]) <= 54


def test_the_declared_dependencies_are_those_imported():
    try:
        import tomllib
    except ImportError:
        pytest.skip("tomllib comes with Python 3.11")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[<>=]", item)[0].lower() for item in project["dependencies"]}
    assert declared == {"pillow" if name == "PIL" else name for name in DEVICE}
    third_party = set()
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] not in TORCH:
            third_party |= {name.partition(".")[0] for name, _ in rooms.imported(path)}
    optional = {
        "av",
        "ai_edge_litert",
        "coremltools",
        "flatbuffers",
        "nncf",
        "ncnn",
        "pnnx",
        "MNN",
        "executorch",
        "h11",
        "h5py",
        "huggingface_hub",
        "matplotlib",
        "faster_coco_eval",
        "onnx",
        "onnxruntime",
        "openvino",
        "pillow_heif",
        "pyarrow",
        "ray",
        "starlette",
        "torch",
        "torchvision",
        "uvicorn",
        "yaml",
    }
    known = {*DEVICE, *optional, "mobilenet", *sys.stdlib_module_names}
    assert third_party <= known


def test_the_public_names_of_the_package():
    assert mobilenet.load is not None
    with pytest.raises(AttributeError, match="has no attribute 'laod'"):
        mobilenet.laod  # noqa: B018
    for name in mobilenet.__all__:
        assert getattr(mobilenet, name)
        assert name in dir(mobilenet)
    assert re.fullmatch(r"\d+\.\d+.*", mobilenet.__version__)


def test_type_checkers_see_the_public_names_where_they_are_defined():
    imports = {
        alias.asname: node.module
        for node in ast.walk(ast.parse((PACKAGE / "__init__.py").read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    assert imports == mobilenet.HOMES


def test_type_checkers_know_the_results_of_the_known_models(tmp_path):
    """`load` names models whose task a type checker knows; the types it infers are those that the models have."""
    pytest.importorskip("mypy")
    results = {"classification": "Classification", "detection": "Detections", "segmentation": "Segmentation"}
    code, types = ["import mobilenet", "from pathlib import Path", "reveal_type(mobilenet.load()('a.jpg'))"], ["Classification"]
    for name in ("imagenet", "coco", "voc", "voc-small"):
        code.append(f"reveal_type(mobilenet.load({name!r}, threads=1)('a.jpg'))")
        types.append(results[published.find(name).task])
    for task, result in results.items():
        code.append(f"reveal_type(mobilenet.load(Path('m'), task={task!r})(b'image', threshold=0.5))")
        types.append(result)
    code.append("reveal_type(next(mobilenet.load('coco')(['a.jpg', b'image', Path('b.jpg')])))")
    code.append("reveal_type(next(mobilenet.load('coco').stream('photos')))")
    code.append("reveal_type(mobilenet.load('coco')('a.jpg')['person'])")
    code.append("reveal_type(mobilenet.load('coco')('a.jpg')[0])")
    types += ["Detections", "Detections", "Detections", "Detection"]
    code.append("def label(predict: mobilenet.Predictor) -> str: return str(predict('a.jpg'))")
    code.append("reveal_type(mobilenet.load(Path('m.safetensors'))('a.jpg'))")
    (tmp_path / "calls.py").write_text("\n".join(code))
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", ROOT / "pyproject.toml", tmp_path / "calls.py"]
    result = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    *known, unknown = re.findall(r'Revealed type is "(.*)"', result.stdout)
    assert [each.rpartition(".")[2] for each in known] == types
    assert unknown.count("|") == 2 or unknown.startswith("Union")
