"""Runs ``mobilenet`` on every aimed file of tests/hostile/, each in a process of its own; appends a row to results/trust.jsonl.

    python tools/measure_trust.py [--dry]

A row holds, for each file, what the command was, seconds of processor time, MB above the process's start and its line of error.
`FINDINGS` are the faults that a review found, with what the same inputs did before they were mended and the test of each.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "trust.jsonl"


class Finding(NamedTuple):
    """One fault: what was tried, what happened, and the test (under tests/) that failed then."""

    number: int
    what: str
    before: str
    test: str
    now: str = ""  # of those that are no files


FINDINGS = (
    Finding(1, "a thread that cannot start", "an unknown exception, then every call hangs", "engine/test_core.py",
            "one error; the next call is right"),
    Finding(2, "a file without any published digest", "\"verified by sha256\"", "zoo/test_carriers.py",
            "pinned on first use; only a whole digest is called verified"),
    Finding(3, "EPS inside a tar of training images", "Ghostscript runs it", "data/test_layouts.py"),
    Finding(4, "a program whose stem leaves the image", "writes past the stack", "hostile/test_program.py", "refused"),
    Finding(5, "a program whose output's size wraps at 2**64", "writes past the heap", "hostile/test_program.py", "refused"),
    Finding(6, "fetching a model from a source archive", "runs its setup.py", "zoo/test_carriers.py",
            "the archive is a file: unpacked, never built"),
    Finding(7, "a file or folder named imagenet", "is loaded in place of the model", "predict/test_predictor.py",
            "a name always means the known model"),
    Finding(8, ".h5 with a link into another file", "the other file's names come back", "hostile/test_weight_files.py"),
    Finding(9, "weights that overflow; a flipped bit in a cached model", "no label, status 0; a wrong answer",
            "predict/test_predictor.py", "one error; the checksum refuses the file"),
    Finding(10, "tfjs: two nodes that read each other", "never ends", "hostile/test_weight_files.py"),
    Finding(11, "tfjs: groups, kernels, JSON and shard names by the thousand", "1.5 to 8.1 GB, 30 s and more",
            "hostile/test_weight_files.py"),
    Finding(12, "tensors of no network", "stopped at 40 s", "hostile/test_weight_files.py"),
    Finding(13, "small images of many pixels or scans", "0.7 to 3.4 GB, 7 to 44 s", "hostile/test_images.py"),
    Finding(14, "model files that ask for much: images, boxes, JSON", "3.9 GB, stopped at 30 s", "hostile/test_model_files.py"),
    Finding(15, ".h5: arrays that are not in the file", "1.3 GB", "hostile/test_weight_files.py"),
    Finding(16, "a sparse member of a tar", "MemoryError", "data/test_layouts.py"),
    Finding(17, "a stride of 2.0", "a traceback", "hostile/test_model_files.py"),
    Finding(18, "nonsense from a proxy", "a traceback", "zoo/test_carriers.py", "one error; one limit of time for a download"),
    Finding(19, ".h5: odd types, names and circles", "tracebacks", "hostile/test_weight_files.py"),
    Finding(20, "settings of four hundred digits", "a traceback", "hostile/test_model_files.py"),
    Finding(21, "memory_budget=\"1\", threads=0", "a traceback; all cores", "runtimes/test_backends.py", "one error each"),
    Finding(22, "a detector whose preprocessing has another size", "numpy's error at the first image",
            "tasks/test_detection.py", "refused when it is loaded"),
    Finding(23, "a name of 4 MB; a type with a line break", "a line of 4 MB; two lines", "hostile/test_text.py",
            "every message is one printable line under 500 characters"),
    Finding(24, "labels with escape sequences", "they reach the terminal", "cli/test_cli.py", "escaped"),
    Finding(25, "a model file that is shortened while in use", "SIGBUS, undocumented", "test_docs.py",
            "documented: files are replaced, never changed (SECURITY.md, docs/trust.md)"),
    Finding(26, "files made while another thread saves a model", "group and others may write them", "test_modelfile.py",
            "the umask is only read"),
    Finding(27, "a cache that is read-only, shared, or left half-written", "no answer; left-over files",
            "zoo/test_carriers.py", "predicts without it; left-overs are swept"),
    Finding(28, "Ctrl-C during imports", "a traceback", "cli/test_cli.py", "ends quietly"),
)  # fmt: skip


class Case(NamedTuple):
    """An aimed file: the finding it belongs to, its generator's name, and a function that makes it and returns the command."""

    finding: int
    name: str
    make: Callable[[Path], tuple[object, ...]]


def cases(model: Path) -> Iterator[Case]:
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "hostile")]
    import test_images as images
    import test_model_files as model_files
    import test_weight_files as weights
    from support import archives

    def image(generator: Callable[[Path], None]) -> Callable[[Path], tuple[object, ...]]:
        def make(folder: Path) -> tuple[object, ...]:
            generator(folder / "x")
            return "predict", folder / "x", "--model", model

        return make

    def weight(generator: Callable[[Path], Path]) -> Callable[[Path], tuple[object, ...]]:
        return lambda folder: ("convert", generator(folder), "--out", folder / "o.safetensors")

    def keras(generator: Any) -> Callable[[Path], tuple[object, ...]]:
        return weight(lambda folder: weights.keras_file(generator, folder))

    def model_file(generator: Callable[[Path], None]) -> Callable[[Path], tuple[object, ...]]:
        def make(folder: Path) -> tuple[object, ...]:
            from PIL import Image

            Image.new("RGB", (8, 8)).save(folder / "x.png")
            generator(folder / "m.safetensors")
            return "predict", folder / "x.png", "--model", folder / "m.safetensors"

        return make

    def archive(generator: Callable[[Path], None]) -> Callable[[Path], tuple[object, ...]]:
        def make(folder: Path) -> tuple[object, ...]:
            generator(folder / "train.tar")
            return "evaluate", "--data", folder / "train.tar", "--model", model

        return make

    numbers = {
        weights.tfjs_circle: 10, weights.keras_external_group: 8, weights.keras_soft_group: 8,
        weights.keras_unwritten: 15, weights.keras_inflated: 15,
    }  # fmt: skip
    yield Case(3, "eps_in_a_tar", archive(archives.eps_in_a_tar))
    yield Case(16, "sparse_in_a_tar", archive(archives.sparse_in_a_tar))
    for generator, *_ in weights.TFJS:
        yield Case(numbers.get(generator, 11), generator.__name__, weight(generator))
    yield Case(12, "unmatched_tensors", weight(weights.unmatched_tensors))
    for generator, _ in images.IMAGES:
        yield Case(13, generator.__name__, image(generator))
    for generator, _ in model_files.MODEL_FILES:
        yield Case(17 if generator is model_files.stride_of_two_point_zero else 14, generator.__name__, model_file(generator))
    for generator, _ in weights.KERAS:
        yield Case(numbers.get(generator, 19), generator.__name__, keras(generator))
    yield Case(20, "settings_of_400_digits", lambda folder: ("cost", "mobilenet_v2", "--set", "min_depth=1" + "0" * 400))


def measured(folder: Path) -> list[dict[str, Any]]:
    sys.path[:0] = [str(ROOT / "tests")]
    from support.hostile import outcome
    from support.models import toy

    from mobilenet import modelfile

    modelfile.write(toy(), folder / "toy.safetensors")
    found = []
    for case in cases(folder / "toy.safetensors"):
        place = folder / case.name
        place.mkdir()
        command = case.make(place)
        result = outcome(*command)
        lines = [line.replace(str(place) + "/", "").replace(str(folder) + "/", "") for line in result.lines]
        found.append({"finding": case.finding, "file": case.name, "command": str(command[0]), "status": result.status,
                      "bytes": sum(path.stat().st_size for path in place.iterdir()), "lines": len(lines),
                      "seconds": round(result.seconds, 2), "megabytes": round(result.megabytes, 1),
                      "line": "\n".join(lines)[:500]})  # fmt: skip
        print(
            f"{case.finding:3} {case.name:32} {result.seconds:6.2f} s {result.megabytes:7.1f} MB  {found[-1]['line'][:90]}",
            flush=True,
        )
        shutil.rmtree(place)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="only print")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = measured(Path(folder))
    bad = [
        each["file"]
        for each in files
        if each["seconds"] >= 3 or each["megabytes"] >= 400 or each["lines"] != 1 or not each["status"]
    ]
    if not arguments.dry:
        commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True).strip()
        row = {"date": datetime.date.today().isoformat(), "commit": commit, "machine": platform.machine(), "files": files}
        with RESULTS.open("a") as file:
            file.write(json.dumps(row) + "\n")
    sys.exit(f"past the bounds: {', '.join(bad)}" if bad else 0)


if __name__ == "__main__":
    main()
