"""Fuzzes one target with Atheris: python fuzz/drive.py TARGET WORK [options of libFuzzer] [folders of inputs]

A failure does not end the run: its input is stored under WORK/failures once for each place in the code, and counted.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "fuzz"))
# Atheris instruments what Python's own finder finds; that of an editable installation serves for the native core alone.
sys.path.insert(0, str(ROOT / "src"))
editable = [finder for finder in sys.meta_path if hasattr(finder, "known_source_files")]
sys.meta_path[:] = [finder for finder in sys.meta_path if finder not in editable] + editable


def main() -> None:
    name, work, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["mobilenet", "tarfile", "zipfile", "csv", "html", "_markupbase", "json"]):
        import mutators
        import targets
        from watch import Watch

        target = targets.named(name)
        with tempfile.TemporaryDirectory() as folder:  # imports that a reader does when it is first called
            accepted = [targets.check(target, seed, Path(folder)) for seed in target.seeds()]
    print(f"{name}: {sum(accepted)} of {len(accepted)} seeds are accepted", file=sys.stderr)
    warnings.simplefilter("ignore")

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        return mutators.mutated(name, data, max_size, seed, atheris.Mutate)

    atheris.Setup([sys.argv[0], *options], Watch(target, Path(work) / "failures" / name), custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
