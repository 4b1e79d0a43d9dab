"""Counts objects that cross a line in a video.

    pip install 'mobilenet[video]' supervision trackers
    python count.py traffic.mp4 --line 0.5,0,0.5,1 --classes car,truck --out counted.mp4

mobilenet finds the objects of each frame, trackers (ByteTrack) follows them from frame to frame, supervision counts and draws.
The line is given as x, y, x, y in shares of the frame. Without --classes every class of the model counts.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack

import numpy as np
import supervision as sv
from trackers import ByteTrackTracker

import mobilenet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("--model", default="coco", help="a detector: a known name or a model file")
    parser.add_argument("--line", default="0.5,0,0.5,1", help="x, y, x, y in shares of the frame (default: %(default)s)")
    parser.add_argument("--classes", help="labels, with commas between them")
    parser.add_argument("--threshold", type=float, default=0.4, help="least score of an object (default: %(default)s)")
    parser.add_argument("--out", help="the video with boxes, tracks and counts drawn on it")
    arguments = parser.parse_args()

    predict = mobilenet.load(arguments.model)
    if arguments.classes:
        predict = predict.adjusted(classes=arguments.classes.split(","))
    rate = sv.VideoInfo.from_video_path(arguments.video).fps
    tracker = ByteTrackTracker(frame_rate=rate, track_activation_threshold=arguments.threshold)
    boxes, labels, traces = sv.BoxAnnotator(), sv.LabelAnnotator(), sv.TraceAnnotator()
    line, line_annotator, frames = None, sv.LineZoneAnnotator(), 0
    with ExitStack() as stack:
        sink = None
        for result in predict.video(arguments.video, threshold=arguments.threshold):
            if line is None:
                width, height = result.size
                x0, y0, x1, y1 = (float(share) for share in arguments.line.split(","))
                line = sv.LineZone(sv.Point(x0 * width, y0 * height), sv.Point(x1 * width, y1 * height))
                if arguments.out:
                    sink = stack.enter_context(sv.VideoSink(arguments.out, sv.VideoInfo(width, height, rate)))
            found = tracker.update(result.to_supervision())
            found = found[found.tracker_id >= 0]  # -1: seen too briefly to be followed
            line.trigger(found)
            frames += 1
            if sink is not None:
                scene = np.asarray(result.image)[:, :, ::-1].copy()  # OpenCV's order of colors
                names = [f"{predict.labels[i]} {number}" for i, number in zip(found.class_id, found.tracker_id, strict=True)]
                scene = labels.annotate(traces.annotate(boxes.annotate(scene, found), found), found, names)
                sink.write_frame(line_annotator.annotate(scene, line))
    if line is None:
        raise SystemExit(f"{arguments.video}: no frames")
    print(f"{frames} frames, {line.in_count} in, {line.out_count} out")
    for index, label in enumerate(predict.labels):
        if (counts := (line.in_count_per_class.get(index, 0), line.out_count_per_class.get(index, 0))) != (0, 0):
            print(f"{label}: {counts[0]} in, {counts[1]} out")


if __name__ == "__main__":
    main()
