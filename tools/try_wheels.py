"""Installs the wheels of the folder ``dist`` into clean environments, and runs them: python tools/try_wheels.py [PROCESSOR ...]

The environment is a root with Debian's Python and nothing else, without a compiler; that of another processor runs in an
emulator, as several models of it. Wheels for other versions of Python go to an environment of that Python alone, and programs
in it find no compiler. In each, the core must take the processor's best instruction set, and the outputs of real networks on a
photo must have the bits of the core that is installed here; `mobilenet predict` must name the photo as it does here. What
cannot be run is named. A processor is x86_64 or aarch64.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from debian_root import NAMES, Root, debian_root, missing
from wheel_trial import outputs_of

import mobilenet
from mobilenet import _core
from mobilenet.errors import MobilenetError

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "roots"
PHOTO = ROOT / "photos" / "cat.jpg"
MODELS = ("imagenet", "coral/mobilenet_v1_0.25_128_quant")
"""In float32, and in integers."""

ROOT_PYTHON = "3.11"
"""Of Debian 12, whose packages come to a root; pip refuses the wheel in one of another Debian."""

ROUNDINGS = 2**-20
"""How far the probabilities of equal outputs may differ: a few roundings of float32 in exp and in the sum."""


def main(names: list[str]) -> None:
    if unknown := [name for name in names if name not in NAMES.values()]:
        sys.exit(f"no processor here is called {unknown[0]!r}; known: {', '.join(NAMES.values())}")
    wheels = sorted((ROOT / "dist").glob("mobilenet-*.whl"))
    chosen = [wheel for wheel in wheels if wheel.stem.endswith(tuple(names or (*NAMES.values(), "arm64")))]
    if not chosen:
        print(f"skipped: no wheel in dist for {' or '.join(names) or 'any processor'}; `make wheels` builds them")
        return
    with tempfile.TemporaryDirectory() as folder:
        models = [Path(folder) / f"{name.replace('/', '-')}.safetensors" for name in MODELS]
        try:
            for name, path in zip(MODELS, models, strict=True):
                shutil.copy(mobilenet.fetch(name), path)
        except MobilenetError as error:
            print(f"skipped: {error}")
            return
        for wheel in chosen:
            print(f"{wheel.name}: {tried(wheel, models)}", flush=True)


def tried(wheel: Path, models: list[Path]) -> str:
    """What was found, in words. Raises SystemExit if anything differs."""
    python, abi, tag = wheel.stem.split("-")[2:]
    if not tag.startswith("manylinux"):
        return "not run: there is no such system here"
    processor = next(name for name in NAMES.values() if tag.endswith(name))
    if python == f"cp{ROOT_PYTHON.replace('.', '')}":
        architecture = next(name for name, kernel in NAMES.items() if kernel == processor)
        if reason := missing(architecture):
            return f"not run: {reason}"
        return in_root(debian_root(FOLDER, architecture), wheel, models)
    if processor != platform.machine():
        return f"not run: the root for {processor} has Python {ROOT_PYTHON}"
    versions = [f"{python[2]}.{python[3:]}"]
    if abi == "abi3":
        versions += [f"3.{minor}" for minor in range(int(python[3:]) + 1, 20)]
    found = [f"Python {version}: {done}" for version in versions if (done := in_environment(version, wheel, models))]
    return "; ".join(found) or f"not run: there is no Python {' or '.join(versions[:2])} here"


def in_root(root: Root, wheel: Path, models: list[Path]) -> str:
    """Installs the wheel by the root's own pip, without an index, and tries it on each model of the processor."""
    bring(wheel, root)
    site, digest = root.folder / "site", hashlib.sha256(wheel.read_bytes()).hexdigest()
    if not (site / digest).is_file():
        shutil.rmtree(site, ignore_errors=True)
        options = [
            "--quiet",
            "--no-index",
            "--find-links",
            root.path("/wheels"),
            "--target",
            root.path("/site"),
            "--no-compile",
        ]
        pip = next((root.folder / "wheels").glob("pip-*.whl")).name
        checked(root.run([root.path(f"/wheels/{pip}/pip"), "install", *options, root.path(f"/wheels/{wheel.name}")], {}))
        (site / digest).write_text("")
    inside = root.folder / "trial"
    shutil.rmtree(inside, ignore_errors=True)
    inside.mkdir()
    names = [root.path(f"/trial/{Path(shutil.copy(path, inside)).name}") for path in (*models, PHOTO)]
    shutil.copy(Path(__file__).with_name("wheel_trial.py"), inside)
    variables, found = {"PYTHONPATH": root.path("/site")}, list[str]()
    sys.path.append(str(ROOT / "native" / "tests"))
    from arm import PROCESSORS

    for model, best in (PROCESSORS if root.emulator else {"": _core.isa()}).items():
        isas = [best] if root.emulator else _core.isas()
        said = checked(
            root.run([root.path("/trial/wheel_trial.py"), *names[:-1], "--", names[-1], "--", *isas], variables, model)
        )
        answer = checked(root.run(["-m", "mobilenet", "predict", names[-1], "--model", names[0], "--json"], variables, model))
        found.append((f"{model}: " if model else "") + compared(said, answer, best, models))
    return f"in Debian's Python {ROOT_PYTHON} for {root.architecture}: {'; '.join(found)}"


def bring(wheel: Path, root: Root) -> None:
    """The wheel, what it depends on, and pip, in the root's folder ``wheels``."""
    folder = root.folder / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    processor = NAMES[root.architecture]
    tags = [f"--platform=manylinux_2_{minor}_{processor}" for minor in (17, 26, 27, 28, 34)]
    kinds = ["--only-binary=:all:", f"--python-version={ROOT_PYTHON}", "--implementation=cp", *tags]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *kinds]
    checked(subprocess.run([*command, "--dest", folder, wheel, "pip"], check=False, capture_output=True, text=True))


def in_environment(version: str, wheel: Path, models: list[Path]) -> str:
    """The same in an environment of a Python of this machine; empty if there is none."""
    python = shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "-V"], check=False, capture_output=True).returncode:
        return ""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        checked(subprocess.run([python, "-m", "venv", folder / "env"], check=False, capture_output=True, text=True))
        inside = folder / "env" / "bin" / "python"
        install = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", wheel]
        checked(subprocess.run(install, check=False, capture_output=True, text=True))
        shutil.copy(Path(__file__).with_name("wheel_trial.py"), folder)

        def run(*arguments: object) -> str:
            command = [str(each) for each in (inside, *arguments)]
            variables = {"PATH": str(inside.parent)}
            return checked(subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, env=variables))

        said = run("wheel_trial.py", *models, "--", PHOTO, "--", *_core.isas())
        return compared(said, run("-m", "mobilenet", "predict", PHOTO, "--model", models[0], "--json"), _core.isa(), models)


def compared(said: str, answer: str, best: str, models: list[Path]) -> str:
    """What a trial found, if it is what this machine's core finds. Raises SystemExit if it is not."""
    found = json.loads(said)
    if found["compilers"]:
        sys.exit(f"the environment has compilers: {', '.join(found['compilers'])}")
    if found["isa"] != best:
        sys.exit(f"the core takes {found['isa']}, expected {best}")
    isas = {name.split()[0] for name in found["outputs"]}
    expected = bits(models, isas)
    if different := [name for name, digest in found["outputs"].items() if digest != expected[name]]:
        sys.exit(f"other bits than here: {', '.join(different)}")
    (ours,), (theirs,) = predicted(models[0]), json.loads(answer)
    for one, other in zip(ours["predictions"], theirs["predictions"], strict=True):
        if one["label"] != other["label"] or abs(one["score"] - other["score"]) > ROUNDINGS or theirs["backend"] != "native":
            sys.exit(
                f"predict answers {other['label']} {other['score']} by {theirs['backend']}, here {one['label']} {one['score']}"
            )
    first, sets = theirs["predictions"][0], ", ".join(sorted(isas))
    return f"{best}; {len(expected)} outputs have this machine's bits ({sets}); {first['label']} {first['score']:.1%}"


@lru_cache(1)
def here(models: tuple[Path, ...]) -> dict[str, str]:
    """Digests of the outputs of the core that is installed here, on all its instruction sets."""
    return outputs_of([str(model) for model in models], [str(PHOTO)], _core.isas())


def bits(models: list[Path], isas: set[str]) -> dict[str, str]:
    """The digests expected of instruction sets. Those of AArch64 have the bits of x86's with a fused multiply-add."""
    ours, expected = here(tuple(models)), dict[str, str]()
    for isa in isas:
        source = isa if isa in _core.isas() else "avx2"
        if source not in _core.isas():
            sys.exit("AArch64 has the bits of a fused multiply-add, which this processor lacks; try the wheels on another one")
        expected |= {name.replace(source, isa, 1): digest for name, digest in ours.items() if name.split()[0] == source}
    return expected


def predicted(model: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "mobilenet", "predict", PHOTO, "--model", model, "--json"]
    return json.loads(checked(subprocess.run(command, check=False, capture_output=True, text=True)))


def checked(done: subprocess.CompletedProcess[str]) -> str:
    """What a command said. Raises SystemExit with all of it if it failed."""
    if done.returncode:
        sys.exit(f"{' '.join(map(str, done.args))}\nstatus {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main(sys.argv[1:])
