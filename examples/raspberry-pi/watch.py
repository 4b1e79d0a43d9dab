"""Says what a camera sees whenever that changes, and keeps an image of it.

    python watch.py camera:0 --keep sightings
    python watch.py tcp://127.0.0.1:8888 --classes person,cat,dog

The source is a camera, a stream or a video file. An object counts as seen, or as gone, after it was so in two frames in a row.
At the end, or on Ctrl-C, a line says how long a frame took and how much memory the process needed.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import mobilenet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="camera:0, tcp://host:port, rtsp://..., or a video file")
    parser.add_argument("--model", default="coco", help="a detector: a known name or a model file")
    parser.add_argument("--classes", help="labels, with commas between them; by default all")
    parser.add_argument("--threshold", type=float, default=0.5, help="least score of an object (default: %(default)s)")
    parser.add_argument("--fps", type=float, default=5, help="frames to look at in a second (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where images of changes go")
    arguments = parser.parse_args()

    predict = mobilenet.load(arguments.model)
    if arguments.classes:
        predict = predict.adjusted(classes=arguments.classes.split(","))
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    before: set[str] = set()
    frames, start = 0, time.process_time()
    try:
        for result in predict.video(arguments.source, fps=arguments.fps, threshold=arguments.threshold):
            frames += 1
            now = {detection.label for detection in result}
            if now == before and now != seen:
                print(f"{result.time:8.1f} s  {', '.join(sorted(now)) or 'nothing'}", flush=True)
                seen = now
                if arguments.keep:
                    result.save(arguments.keep / f"{frames:06}.jpg")
            before = now
    except KeyboardInterrupt:
        pass
    used = time.process_time() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{frames} frames, {1000 * used / max(frames, 1):.0f} ms of processor time each, {memory:.0f} MiB")


if __name__ == "__main__":
    main()
