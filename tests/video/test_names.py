"""Names of inputs that mean videos, and names of the annotated videos."""

from __future__ import annotations

import pytest

from mobilenet.images.find import is_video
from mobilenet.predict.clips import target_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("clip.MP4", True), ("a/b.mkv", True), ("camera:0", True), ("/dev/video2", True), ("rtsp://host/path", True),
        ("unix:///tmp/socket", True), ("https://host/live.m3u8?token=1", True), ("tcp://127.0.0.1:5", True),
        ("photo.jpg", False), ("https://host/photo.jpg", False), ("https://host/x?file=.mp4", False), ("gif.gif", False),
        ("mp4", False), ("-", False),
    ],
)  # fmt: skip
def test_what_is_a_video(name, expected):
    assert is_video(name) is expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("folder/Clip.MOV", "Clip.mov"),
        ("clip.avi", "clip.mp4"),
        ("camera:0", "camera-0.mp4"),
        ("/dev/video1", "dev-video1.mp4"),
        ("rtsp://user:secret@10.0.0.7:554/door", "10.0.0.7-554-door.mp4"),
        ("https://host/live/a.m3u8?key=secret", "host-live-a.m3u8.mp4"),
        ("tcp://127.0.0.1:34139", "127.0.0.1-34139.mp4"),
    ],
)
def test_no_password_is_in_a_name(source, expected):
    assert target_name(source) == expected
