"""What comes in and what goes out: locked requirements, workflows that reach no further than they must."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def names(lines: list[str]) -> set[str]:
    """Package names at the beginning of requirement lines, as PEP 503 normalizes them."""
    found = (re.match(r"[A-Za-z0-9][\w.-]*", line) for line in lines)
    return {re.sub(r"[-_.]+", "-", match[0]).lower() for match in found if match}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_locked_package_has_a_version_and_hashes(lock):
    entries = re.split(r"\n(?=[A-Za-z0-9])", lock.read_text("utf-8").strip())
    assert entries
    for entry in entries:
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+", entry), entry.splitlines()[0]
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_the_locks_hold_every_requirement():
    """A requirement added to pyproject.toml without `make lock` fails here."""
    tomllib = pytest.importorskip("tomllib", reason="tomllib comes with Python 3.11")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    asked = list(project["project"]["dependencies"])
    pending = ["test", "check", "docs"]
    while pending:
        for item in extras[pending.pop()]:
            inner = re.fullmatch(r"mobilenet\[(.*)\]", item)
            pending += inner[1].split(",") if inner else []
            asked += [] if inner else [item]
    locked = {lock.stem: names(lock.read_text("utf-8").splitlines()) for lock in LOCKS}
    assert names(asked) <= locked["test"]
    build = names((ROOT / "requirements" / "build.in").read_text("utf-8").splitlines())
    assert names(project["build-system"]["requires"]) <= build
    assert build <= locked["build"]
    assert build <= locked["test"]


def test_the_workflows_pass_their_audit():
    """Actions are pinned by commit, tokens have no right that a job does not need, nothing untrusted reaches a shell."""
    program = shutil.which("zizmor", path=str(Path(sys.executable).parent)) or shutil.which("zizmor")
    if program is None:
        pytest.skip("zizmor is not installed; it is part of the extra [check]")
    folder = ROOT / ".github" / "workflows"
    audit = subprocess.run([program, "--offline", "--no-progress", str(folder)], capture_output=True, text=True, check=False)
    assert audit.returncode == 0, audit.stdout + audit.stderr
    for workflow in folder.glob("*.yml"):
        for action in re.findall(r"uses: (\S+)", workflow.read_text("utf-8")):
            pinned = action.startswith("$/") or re.search(r"@[0-9a-f]{40}$", action)  # $/ is this repository
            assert pinned, f"{workflow.name}: {action} is not pinned by commit"
