"""Runs a command on a hostile file in a process of its own, whose time, memory and message are measured."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

CHILD = """
import json, re, resource, sys, threading, time
from mobilenet.cli.main import main
import mobilenet.modelfile, mobilenet.predict.predictor, numpy

def peak():  # kB; getrusage's is at least that of the process which started this one
    try:
        return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

for arguments in json.loads(sys.argv[1]):
    memory, start = peak(), resource.getrusage(resource.RUSAGE_SELF)
    status = 0
    try:
        main(arguments, standalone_mode=True)
    except SystemExit as error:
        status = error.code
    end = resource.getrusage(resource.RUSAGE_SELF)
    seconds = end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime
    sys.stderr.write("\\n@" + json.dumps([status, seconds, peak() - memory]) + "\\n")
"""


class Outcome(NamedTuple):
    """Exit status, seconds of work, MB above the process's start, lines on stderr."""

    status: int
    seconds: float
    megabytes: float
    lines: list[str]


def outcome(*arguments: object) -> Outcome:
    """What ``mobilenet ARGUMENTS`` does."""
    return outcomes([arguments])[0]


def outcomes(commands: Iterable[Sequence[object]]) -> list[Outcome]:
    """What several commands do, one after the other in one process; memory is what each adds to the most held before."""
    texts = json.dumps([[str(argument) for argument in arguments] for arguments in commands])
    command = [sys.executable, "-c", CHILD, texts]
    stderr = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300).stderr
    found, lines = [], []
    for line in filter(None, stderr.splitlines()):
        if line.startswith("@"):
            status, seconds, kilobytes = json.loads(line[1:])
            found.append(Outcome(status, seconds, kilobytes / 1024, lines))
            lines = []
        else:
            lines.append(line)
    return found


def assert_refused(words: str, *arguments: object) -> None:
    """The command ends with status 1 and one short line that holds `words`, in little time and memory."""
    assert_refusal(words, outcome(*arguments))


def assert_refusal(words: str, result: Outcome) -> None:
    assert result.status == 1, result
    assert len(result.lines) == 1, result
    assert len(result.lines[0].encode()) < 500, result
    assert words in result.lines[0], result
    assert result.seconds < 3, result
    assert result.megabytes < 400, result
