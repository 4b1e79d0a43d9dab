"""What the installed package consists of, as CycloneDX JSON: `python tools/sbom.py dist` for the wheel in `dist`.

The wheel is installed into an environment of its own. The packages found there are listed with versions, licenses and
dependencies; what is compiled into the native core is added, since no package manager can see it.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path


def main(folder: Path) -> Path:
    (wheel,) = folder.glob("mobilenet-*.whl")
    with tempfile.TemporaryDirectory() as scratch:
        venv.create(scratch, with_pip=True)
        python = Path(scratch) / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", str(wheel)], check=True)
        subprocess.run([*pip, "uninstall", "--yes", "setuptools", "pip"], check=True)
        command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--of", "JSON", str(python)]
        listing = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    listing["components"].append(linked("nanobind"))
    for component in listing["components"]:
        component.pop("externalReferences", None)  # they name the wheel's path on the machine that built it
    target = folder / f"{'-'.join(wheel.name.split('-')[:2])}.cdx.json"
    target.write_text(json.dumps(listing, indent=1, sort_keys=True) + "\n", "utf-8")
    return target


def linked(package: str) -> dict[str, object]:
    """A build requirement whose code is linked statically into the native core."""
    version = importlib.metadata.version(package)
    return {
        "type": "library",
        "bom-ref": f"{package}=={version}",
        "name": package,
        "version": version,
        "purl": f"pkg:pypi/{package}@{version}",
        "description": "linked statically into mobilenet/_core",
    }


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))
