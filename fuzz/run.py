"""Runs the fuzzing harnesses: python fuzz/run.py [--seconds N] [--seed N] [--portable] [--build] [--record] [harness ...]

Each harness runs for that long from the committed corpus, the seeds and what earlier runs found (build/fuzz/corpus). Prints for
each: executions, edges covered and features at the start and at the end, new units, failures. Ends with status 1 if any failed.
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
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FUZZ, WORK = ROOT / "fuzz", ROOT / "build" / "fuzz"
sys.path.insert(0, str(FUZZ))
NATIVE = ("program", "weights", "weights_i8", "image_planes", "resample", "detections", "segmentation")
SANITIZERS = "address,undefined,fuzzer-no-link"
MAX_BYTES = 16384  # of an input


class Result(NamedTuple):
    name: str
    executions: int
    start: tuple[int, int]
    end: tuple[int, int]
    units: int
    failures: tuple[Path, ...]


def native(portable: bool) -> Path:
    """The folder of the native harnesses."""
    return WORK / ("native-portable" if portable else "native")


def build(portable: bool) -> str:
    """Builds the native harnesses with clang; returns the reason if that cannot be done here."""
    for tool in ("clang++", "cmake", "ninja"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    probe = WORK / "probe.cc"
    probe.parent.mkdir(parents=True, exist_ok=True)
    probe.write_text('extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }\n')
    compiled = ["clang++", "-fsanitize=fuzzer,address", probe, "-o", WORK / "probe"]
    if subprocess.run(compiled, capture_output=True, check=False).returncode:
        return "clang++ has no libFuzzer (on Debian: apt install libclang-rt-dev)"
    options = ["-DCMAKE_CXX_COMPILER=clang++", "-DMOBILENET_FUZZ=ON", f"-DMOBILENET_SANITIZE={SANITIZERS}",
               f"-DMOBILENET_PORTABLE={'ON' if portable else 'OFF'}"]  # fmt: skip
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


def fuzz(name: str, seconds: int, seed: int, portable: bool) -> Result:
    found, failures = WORK / "corpus" / name, WORK / "failures" / name
    for folder in (found, failures):
        folder.mkdir(parents=True, exist_ok=True)
    before, units = set(failures.iterdir()), len(list(found.iterdir()))
    folders = [found, seed_folder(name), *(f for f in (FUZZ / "corpus" / name, FUZZ / "regressions" / name) if f.is_dir())]
    program = [native(portable) / f"fuzz_{name}"] if name in NATIVE else [sys.executable, FUZZ / "drive.py", name, WORK]
    options = [f"-max_total_time={seconds}", f"-seed={seed}", "-print_final_stats=1", "-timeout=25", "-rss_limit_mb=2500",
               f"-max_len={MAX_BYTES}", f"-artifact_prefix={failures}/"]  # fmt: skip
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1"}
    command = [str(part) for part in (*program, *options, *folders)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    (WORK / f"{name}.log").write_text(done.stderr)
    new = tuple(sorted(set(failures.iterdir()) - before))
    counts = [(int(a), int(b)) for a, b in re.findall(r"cov: (\d+) ft: (\d+)", done.stderr)] or [(0, 0)]
    executions = re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)
    if executions is None or done.returncode:
        print(done.stderr[-3000:])
        new = new or (WORK / f"{name}.log",)
    for report in re.findall(r"^FAILURE .*?(?=^#|\Z)", done.stderr, re.MULTILINE | re.DOTALL):
        print(report[:3000])
    return Result(name, int(executions[1]) if executions else 0, counts[0], counts[-1], len(list(found.iterdir())) - units, new)


def record(result: Result, seconds: int, seed: int) -> None:
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True).strip()
    fields = result._replace(failures=len(result.failures))._asdict()  # type: ignore[arg-type]
    row = {"date": datetime.date.today().isoformat(), "commit": commit, "seconds": seconds, "seed": seed, **fields}
    with (ROOT / "results" / "fuzz.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def main() -> None:
    import targets

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for each harness")
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
    except ImportError:
        reasons.update({target.name: "Atheris is not installed (requirements/fuzz.txt)" for target in targets.TARGETS})
    for target in targets.TARGETS:
        try:
            __import__(target.needs or "sys")
        except ImportError:
            reasons[target.name] = f"{target.needs} is not installed"
    print(f"seed {arguments.seed}, {arguments.seconds} s for each harness")
    print(f"{'harness':13}{'executions':>11}{'edges':>14}{'features':>16}{'new units':>11}{'failures':>10}", flush=True)
    total, failures = 0, list[Path]()
    for name in names:
        if reasons.get(name):
            print(f"{name:13}skipped: {reasons[name]}", flush=True)
            continue
        r = fuzz(name, arguments.seconds, arguments.seed, arguments.portable)
        edges, features = f"{r.start[0]} to {r.end[0]}", f"{r.start[1]} to {r.end[1]}"
        print(f"{name:13}{r.executions:11}{edges:>14}{features:>16}{r.units:11}{len(r.failures):10}", flush=True)
        if arguments.record:
            record(r, arguments.seconds, arguments.seed)
        total, failures = total + r.executions, [*failures, *r.failures]
    print(f"{total} executions, {len(failures)} failures")
    for path in failures:
        print(path)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
