"""Runs a command on a hostile file in a process of its own, whose time, memory and message are measured."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import NamedTuple

CHILD = """
import json, resource, sys, threading, time
from mobilenet.cli.main import main
import mobilenet.modelfile, mobilenet.predict.predictor, numpy
start = resource.getrusage(resource.RUSAGE_SELF)
status = 0
try:
    main(sys.argv[1:], standalone_mode=True)
except SystemExit as error:
    status = error.code
end = resource.getrusage(resource.RUSAGE_SELF)
seconds = end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime
sys.stderr.write("\\n" + json.dumps([status, seconds, end.ru_maxrss - start.ru_maxrss]))
"""


class Outcome(NamedTuple):
    """Exit status, seconds of work, MB above the process's start, lines on stderr."""

    status: int
    seconds: float
    megabytes: float
    lines: list[str]


def outcome(*arguments: object) -> Outcome:
    """What ``mobilenet ARGUMENTS`` does."""
    command = [sys.executable, "-c", CHILD, *map(str, arguments)]
    stderr = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120).stderr
    *lines, last = stderr.splitlines()
    status, seconds, kilobytes = json.loads(last)
    return Outcome(status, seconds, kilobytes / 1024, [line for line in lines if line])


def assert_refused(words: str, *arguments: object) -> None:
    """The command ends with status 1 and one short line that holds `words`, in little time and memory."""
    result = outcome(*arguments)
    assert result.status == 1, result
    assert len(result.lines) == 1, result
    assert len(result.lines[0].encode()) < 500, result
    assert words in result.lines[0], result
    assert result.seconds < 3, result
    assert result.megabytes < 400, result
