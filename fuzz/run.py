"""Runs the fuzzing harnesses: python fuzz/run.py [--seconds N] [--until T] [--jobs N] [--seed N] [--record] [harness ...]

Each harness runs for that long from the committed corpus, the seeds and what earlier runs found (build/fuzz/corpus). Prints for
each: seconds, executions, edges covered and features at the start and at the end, new units, failures. Without Atheris the
targets in Python run without coverage (`blind.py`). Ends with status 1 if any failed.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FUZZ, WORK = ROOT / "fuzz", ROOT / "build" / "fuzz"
sys.path.insert(0, str(FUZZ))
NATIVE = ("program", "weights", "weights_i8", "image_planes", "resample", "detections", "segmentation")
SANITIZERS = "address,undefined,fuzzer-no-link"
MAX_BYTES = 16384  # of an input
MAX_SHARE = 60  # seconds of a harness in a time that all share


class Result(NamedTuple):
    name: str
    seconds: int
    executions: int
    start: tuple[int, int]
    end: tuple[int, int]
    units: int
    failures: tuple[Path, ...]


def native(portable: bool) -> Path:
    """The folder of the native harnesses."""
    return WORK / ("native-portable" if portable else "native")


def build(portable: bool) -> str:
    """Builds the native harnesses with clang, portable ones beside the native tests; returns the reason if it cannot."""
    for tool in ("clang++", "cmake", "ninja"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    probe = WORK / "probe.cc"
    probe.parent.mkdir(parents=True, exist_ok=True)
    probe.write_text('extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }\n')
    compiled = ["clang++", "-fsanitize=fuzzer,address", probe, "-o", WORK / "probe"]
    if subprocess.run(compiled, capture_output=True, check=False).returncode:
        return "clang++ has no libFuzzer (on Debian: apt install libclang-rt-dev)"
    compilers = ["-DCMAKE_C_COMPILER=clang", "-DCMAKE_CXX_COMPILER=clang++"]
    options = [*compilers, "-DMOBILENET_FUZZ=ON", f"-DMOBILENET_SANITIZE={SANITIZERS}"]
    if portable:  # native/tests/sanitize.py runs the native tests of this folder
        options += ["-DMOBILENET_PORTABLE=ON", "-DMOBILENET_NATIVE_TESTS=ON"]
    for command in (
        ["cmake", "-S", ROOT, "-B", native(portable), "-G", "Ninja", *options],
        ["cmake", "--build", native(portable)],
    ):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
    return ""


def seed_folder(name: str) -> Path:
    """The folder of a harness's seeds, made anew."""
    import programs
    import targets

    folder = WORK / "seeds" / name
    folder.mkdir(parents=True, exist_ok=True)
    made = programs.seeds() if name == "program" else () if name in NATIVE else targets.named(name).seeds()
    for data in made:
        (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    return folder


def fuzz(name: str, seconds: int, seed: int, portable: bool, blind: bool) -> Result:
    found, failures = WORK / "corpus" / name, WORK / "failures" / name
    for folder in (found, failures):
        folder.mkdir(parents=True, exist_ok=True)
    before, units = set(failures.iterdir()), len(list(found.iterdir()))
    folders = [found, seed_folder(name), *(f for f in (FUZZ / "corpus" / name, FUZZ / "regressions" / name) if f.is_dir())]
    program = [native(portable) / f"fuzz_{name}"] if name in NATIVE else [sys.executable, FUZZ / "drive.py", name, WORK]
    options = [f"-max_total_time={seconds}", f"-seed={seed}", "-print_final_stats=1", "-timeout=60", "-report_slow_units=100",
               "-rss_limit_mb=2500", f"-max_len={MAX_BYTES}", f"-artifact_prefix={failures}/"]  # fmt: skip
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1"}
    command = [str(part) for part in (*program, *options, *folders)]
    if blind:
        command = [sys.executable, str(FUZZ / "blind.py"), f"--seconds={seconds}", f"--seed={seed}", name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    log = done.stdout + done.stderr
    (WORK / f"{name}.log").write_text(log)
    new = tuple(sorted(set(failures.iterdir()) - before))
    counts = [(int(a), int(b)) for a, b in re.findall(r"cov: (\d+) ft: (\d+)", log)] or [(0, 0)]
    executions = re.search(rf"^{name} +(\d+) +\d+$" if blind else r"stat::number_of_executed_units: (\d+)", log, re.MULTILINE)
    if executions is None or done.returncode:
        print(log[-3000:])
        new = new or (WORK / f"{name}.log",)
    for report in re.findall(r"^FAILURE .*?(?=^#|\Z)", log, re.MULTILINE | re.DOTALL):
        print(report[:3000])
    units = len(list(found.iterdir())) - units
    return Result(name, seconds, int(executions[1]) if executions else 0, counts[0], counts[-1], units, new)


class Times:
    """How long each harness runs: `seconds`, or its share of the time until `until` if that is more."""

    def __init__(self, seconds: int, until: float, count: int) -> None:
        self.seconds, self.until, self.left = seconds, until, count

    def next(self, jobs: int) -> int:
        share = (self.until - time.time()) * jobs / self.left
        self.left -= 1
        return max(self.seconds, int(min(share, MAX_SHARE)))


def fuzz_all(
    names: list[str], times: Times, jobs: int, after: list[Path], one: Callable[[str, int], Result]
) -> Iterator[Result]:
    """The results as they come, of `jobs` harnesses at a time: of one until the files `after` exist, which other processes
    make when they leave their core. If one holds a status other than 0, none is begun any more.
    """
    waiting, running = deque(names), set[Future[Result]]()
    with ThreadPoolExecutor(jobs) as pool:
        while waiting or running:
            there = [file for file in after if file.exists()]
            ended = len(there) == len(after)
            if any(file.read_text().strip() not in ("", "0") for file in there):
                waiting.clear()
            while waiting and len(running) < (jobs if ended else 1):
                running.add(pool.submit(one, waiting.popleft(), times.next(jobs if ended else 1)))
            done, running = wait(running, 1, FIRST_COMPLETED)
            yield from (future.result() for future in done)


def record(result: Result, seed: int) -> None:
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True).strip()
    fields = result._replace(failures=len(result.failures))._asdict()  # type: ignore[arg-type]
    row = {"date": datetime.date.today().isoformat(), "commit": commit, "seed": seed, **fields}
    with (ROOT / "results" / "fuzz.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def main() -> None:
    import targets

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for each harness; with --until, at least")
    parser.add_argument(
        "--until", type=float, default=0, help="ends about then (seconds since 1970): all share the time, up to a minute each"
    )
    parser.add_argument("--jobs", type=int, default=1, help="harnesses at a time")
    parser.add_argument(
        "--after",
        type=Path,
        nargs="+",
        default=[],
        help="one at a time until these files exist; none any more if one holds a status above 0",
    )
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 2**31))
    parser.add_argument("--portable", action="store_true", help="native harnesses without vector units: built in a moment")
    parser.add_argument("--record", action="store_true", help="append a row for each harness to results/fuzz.jsonl")
    parser.add_argument("--build", action="store_true", help="only build the native harnesses")
    parser.add_argument("--built", action="store_true", help="native harnesses only if they are built")
    parser.add_argument("harnesses", nargs="*", default=[])
    arguments = parser.parse_args()
    if arguments.build:
        print(build(arguments.portable) or "the native harnesses are built")
        return
    names = arguments.harnesses or [*NATIVE, *(target.name for target in targets.TARGETS)]
    reasons: dict[str, str] = {}
    if set(names) & set(NATIVE):
        reason = "" if arguments.built else build(arguments.portable)
        for name in NATIVE:
            there = (native(arguments.portable) / f"fuzz_{name}").is_file()
            reasons[name] = reason or ("" if there else "not built; make fuzz builds it")
    try:
        import atheris  # noqa: F401

        blind = set[str]()
    except ImportError:
        blind = {target.name for target in targets.TARGETS}
    for target in targets.TARGETS:
        try:
            __import__(target.needs or "sys")
        except ImportError:
            reasons[target.name] = f"{target.needs} is not installed"
    words = "without coverage: Atheris is not installed (requirements/fuzz.txt)" if blind else ""
    print(f"seed {arguments.seed} {words and f'; targets in Python {words}'}")
    print(
        f"{'harness':14}{'seconds':>7}{'executions':>12}{'edges':>14}{'features':>16}{'new units':>11}{'failures':>10}",
        flush=True,
    )
    for name in names:
        if reasons.get(name):
            print(f"{name:14}skipped: {reasons[name]}", flush=True)
    names = [name for name in names if not reasons.get(name)]

    def one(name: str, seconds: int) -> Result:
        return fuzz(name, seconds, arguments.seed, arguments.portable, name in blind)

    total, failures = 0, list[Path]()
    for r in fuzz_all(names, Times(arguments.seconds, arguments.until, len(names)), arguments.jobs, arguments.after, one):
        edges, features = ("", "") if r.name in blind else (f"{a} to {b}" for a, b in zip(r.start, r.end, strict=True))
        print(f"{r.name:14}{r.seconds:7}{r.executions:12}{edges:>14}{features:>16}{r.units:11}{len(r.failures):10}", flush=True)
        if arguments.record and r.name not in blind:
            record(r, arguments.seed)
        total, failures = total + r.executions, [*failures, *r.failures]
    print(f"{total} executions, {len(failures)} failures")
    for path in failures:
        print(path)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
