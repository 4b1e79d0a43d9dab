"""What an installed wheel does, as JSON: python wheel_trial.py MODEL... -- IMAGE... -- ISA...

With ``--vector`` alone, whether its core finds instructions of the processor's vector units.
tools/try_wheels.py runs this in environments that hold the package and its dependencies only. It stands alone: no other file of
the checkout is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
from pathlib import Path

COMPILERS = ("cc", "c++", "gcc", "g++", "clang", "clang++")


def outputs_of(models: list[str], images: list[str], isas: list[str]) -> dict[str, str]:
    """A digest of the outputs' bits for each instruction set, model and image."""
    import numpy as np

    import mobilenet

    digests, before = {}, os.environ.get("MOBILENET_ISA")
    for isa in isas:
        os.environ["MOBILENET_ISA"] = isa
        for model in models:
            predict = mobilenet.load(model, threads=1)
            for image in images:
                tensors = predict.runtime(np.asarray(predict.model.preprocessing.batch(predict.open(image))))
                bits = b"".join(np.ascontiguousarray(tensors[name]).tobytes() for name in sorted(tensors))
                digests[f"{isa} {Path(model).stem} {Path(image).name}"] = hashlib.sha256(bits).hexdigest()
    if before is None:
        os.environ.pop("MOBILENET_ISA", None)
    else:
        os.environ["MOBILENET_ISA"] = before
    return digests


def main(words: list[str]) -> None:
    from mobilenet import _core

    if words == ["--vector"]:
        found = _core.isas()
        sys.exit(0 if len(found) > 1 else f"the core finds {', '.join(found)} only, on {platform.machine()}")
    first = words.index("--")
    second = words.index("--", first + 1)
    found = {
        "machine": platform.machine(),
        "isa": _core.isa(),
        "compilers": [name for name in COMPILERS if shutil.which(name)],
        "outputs": outputs_of(words[:first], words[first + 1 : second], words[second + 1 :]),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
