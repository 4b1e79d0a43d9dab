"""Fuzzes the targets in Python without coverage, so without Atheris: python fuzz/blind.py [--seconds N] [--seed N] [target ...]

Inputs are the seeds and the corpus, changed by one to five of the mutations of `mutators`. `make test` does this for a moment.
Ends with status 1 if a target failed; what failed lies in build/fuzz/failures.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "fuzz"))
import mutators  # noqa: E402
import targets  # noqa: E402
from watch import Watch  # noqa: E402

MAX_BYTES = 16384  # of an input that grows; the seeds may be larger


def changed_bytes(choice: random.Random, known: list[bytes]) -> mutators.Plain:
    """A mutation of bytes, in the place of libFuzzer's."""

    def change(data: bytes, max_size: int) -> bytes:
        at, count = choice.randrange(len(data) + 1), choice.choice((1, 1, 2, 4, 8, 100))
        match choice.randrange(6):
            case 0:
                return data[:at] + data[at + count :]
            case 1:
                return (data[:at] + choice.randbytes(count) + data[at:])[:max_size]
            case 2:  # a part of another input
                other = choice.choice(known)
                start = choice.randrange(len(other) + 1)
                return (data[:at] + other[start : start + count] + data[at:])[:max_size]
            case 3:
                number = choice.choice((0, 1, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1))
                return data[:at] + number.to_bytes(4, choice.choice(("little", "big"))) + data[at + 4 :]
            case 4:
                return data[:at] + bytes([data[at] ^ 1 << choice.randrange(8)]) + data[at + 1 :] if at < len(data) else data
            case _:
                return data[:at] + choice.randbytes(min(count, len(data) - at)) + data[at + count :]

    return change


def fuzz(target: targets.Target, seconds: float, seed: int) -> Watch:
    choice, folders = (
        random.Random(f"{target.name} {seed}"),
        (ROOT / "fuzz" / kind / target.name for kind in ("corpus", "regressions")),
    )
    known = [*target.seeds(), *(path.read_bytes() for folder in folders for path in sorted(folder.glob("*")))]
    plain, watch = changed_bytes(choice, known), Watch(target, ROOT / "build" / "fuzz" / "failures" / target.name)
    executions, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        data = choice.choice(known)
        for _ in range(choice.randint(1, 5)):
            data = mutators.mutated(target.name, data, max(MAX_BYTES, len(data)), choice.getrandbits(32), plain)
        watch(data)
        executions += 1
    watch.scratch.cleanup()
    print(f"{target.name:13}{executions:11}{len(watch.failures):10}", flush=True)
    return watch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2, help="for each target")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 2**31))
    parser.add_argument("targets", nargs="*", default=[])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    print(
        f"seed {arguments.seed}, {arguments.seconds:g} s for each target\n{'target':13}{'executions':>11}{'failures':>10}",
        flush=True,
    )
    failed = False
    for target in targets.TARGETS:
        if arguments.targets and target.name not in arguments.targets:
            continue
        try:
            __import__(target.needs or "sys")
        except ImportError:
            print(f"{target.name:13}skipped: {target.needs} is not installed", flush=True)
            continue
        failed |= bool(fuzz(target, arguments.seconds, arguments.seed).failures)
    sys.exit(failed)


if __name__ == "__main__":
    main()
