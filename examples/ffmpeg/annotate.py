"""Draws a model's answers on the frames of a pipe: PPM images in, PPM images out.

    ffmpeg -i clip.mp4 -f image2pipe -c:v ppm - \\
      | python annotate.py coco \\
      | ffmpeg -y -f image2pipe -c:v ppm -framerate 25 -i - -pix_fmt yuv420p drawn.mp4

Whatever ffmpeg reads can stand on the left, a camera (-f v4l2 -i /dev/video0) or a stream too, and whatever it writes on the
right. A PPM image says its own size, so nothing has to be told to both sides.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

import mobilenet


def frames(pipe: BinaryIO) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 arrays, until the pipe ends. An image that is cut short ends it too."""
    while pipe.readline() == b"P6\n":
        width, height = (int(number) for number in pipe.readline().split())
        pipe.readline()  # the largest level, 255
        pixels = pipe.read(width * height * 3)
        if len(pixels) < width * height * 3:
            return
        yield np.frombuffer(pixels, np.uint8).reshape(height, width, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a known name or a model file")
    parser.add_argument("--threshold", type=float, help="least score that is drawn")
    arguments = parser.parse_args()
    predict = mobilenet.load(arguments.model)
    num_frames = 0
    try:
        for frame in frames(sys.stdin.buffer):
            drawn = predict(frame, threshold=arguments.threshold).plot().convert("RGB")
            sys.stdout.buffer.write(b"P6\n%d %d\n255\n" % drawn.size + drawn.tobytes())
            sys.stdout.buffer.flush()
            num_frames += 1
    except (BrokenPipeError, KeyboardInterrupt):
        sys.stderr.close()  # the other side has ended
        return
    print(f"{num_frames} frames", file=sys.stderr)


if __name__ == "__main__":
    main()
