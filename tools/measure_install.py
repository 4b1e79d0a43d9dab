"""Installs the package into an empty environment and records the size of each distribution and the start-up times.

Appends one row to results/install.jsonl. Run it on an idle machine: `make figures`.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from mobilenet.bench import history

ROOT = Path(__file__).resolve().parents[1]
RUNS = 11

SIZES = """
import importlib.metadata as m, json
sizes = {}
for d in m.distributions():
    if d.name not in ("pip", "setuptools"):
        sizes[d.name.lower()] = [d.version, sum(f.locate().stat().st_size for f in d.files or () if f.locate().is_file())]
print(json.dumps(sizes))
"""


def seconds(command: list[str]) -> float:
    """Median wall time of whole processes."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return round(statistics.median(times), 3)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(ROOT)]
        subprocess.run(pip, check=True)
        sizes = json.loads(subprocess.run([python, "-c", SIZES], check=True, capture_output=True, text=True).stdout)
        command = str(Path(folder) / "bin" / "mobilenet")
        row = {
            **history.origin(ROOT),
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}",
            "bytes": {name: size for name, (_, size) in sizes.items()},
            "versions": {name: version for name, (version, _) in sizes.items()},
            "python_start_s": seconds([python, "-c", "pass"]),
            "import_s": seconds([python, "-c", "import mobilenet"]),
            "help_s": seconds([command, "--help"]),
        }
    history.append(ROOT, "install", [row])
    print(json.dumps(row, indent=2), file=sys.stderr)


if __name__ == "__main__":
    main()
