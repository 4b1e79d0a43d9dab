"""Videos in, answers and annotated videos out. Clips are made here, with PyAV."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support.models import toy
from support.paths import ROOT

import mobilenet
from mobilenet import modelfile
from mobilenet.cli.main import main
from mobilenet.errors import UsageError
from mobilenet.limits import set_limits
from mobilenet.video.open import VideoError
from mobilenet.video.read import Reading, Video
from mobilenet.video.write import VideoWriter, even

av = pytest.importorskip("av", reason="PyAV is not installed; it is the extra [video]")
RATE, SOUND_RATE = 25, 16_000


def content(number, size):
    """A gray frame whose brightness tells its number (of thirty), with a red upper left quarter."""
    pixels = np.full((size[1], size[0], 3), 60 + 6 * (number % 30), np.uint8)
    pixels[: size[1] // 2, : size[0] // 2] = 200, 0, 0
    return pixels


def number_in(image):
    """Of a frame of `content`, from its upper right corner."""
    return round((np.asarray(image)[:6, -6:].mean() - 60) / 6)


def make_clip(
    path,
    count=30,
    size=(64, 48),
    sound=True,
    turn=None,
    times=None,
    codec="libx264",
    pixels="yuv420p",
    options=None,
    faststart=False,
):
    with av.open(str(path), "w", container_options={"movflags": "faststart"} if faststart else {}) as container:
        video = container.add_stream(codec, rate=RATE)
        (video.width, video.height), video.pix_fmt = size, pixels
        if codec == "libx264":
            video.options = {"crf": "8"}
        if turn is not None:
            video.set_display_rotation(turn)
        audio = container.add_stream("aac", rate=SOUND_RATE) if sound else None
        if times is not None:
            video.codec_context.time_base = Fraction(1, 1000)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(content(number, size), "rgb24").reformat(format=pixels)
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(video.encode(frame))
            if audio is not None:
                samples = SOUND_RATE // RATE
                wave = np.sin(np.arange(number * samples, (number + 1) * samples) * 0.05).astype(np.float32)[None]
                part = av.AudioFrame.from_ndarray(wave, "fltp", "mono")
                part.sample_rate, part.pts = SOUND_RATE, number * samples
                container.mux(audio.encode(part))
        container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(None))
    return path


def decoded(path):
    """(seconds, image) of each frame of a file, as PyAV says."""
    with av.open(str(path)) as container:
        return [(float(frame.time), frame.to_image()) for frame in container.decode(video=0)]


def sound_of(path):
    with av.open(str(path)) as container:
        parts = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    return np.concatenate(parts) if parts else np.empty(0)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("video") / "clip.mp4")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "toy.safetensors"
    modelfile.write(toy(), path)
    return path


def predict(*words):
    return CliRunner().invoke(main, ["predict", *map(str, words)])


def rows(path):
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


# Reading -------------------------------------------------------------------------------------------------------------


def test_frames_with_numbers_and_times(clip):
    video = Video(str(clip))
    frames = list(video)
    assert [frame.number for frame in frames] == [number_in(frame.image) for frame in frames] == list(range(30))
    assert [frame.time for frame in frames] == pytest.approx([number / RATE for number in range(30)])
    assert (video.num_frames, video.num_dropped) == (30, 0)
    red = np.asarray(frames[0].image)[10, 10].astype(int)
    assert np.abs(red - (200, 0, 0)).max() < 8


def test_stepping(clip):
    assert [frame.number for frame in Video(str(clip), every=7)] == [0, 7, 14, 21, 28]
    assert [frame.number for frame in Video(str(clip), fps=5)] == [0, 5, 10, 15, 20, 25]
    assert [frame.number for frame in Video(str(clip), fps=10)] == [0, 3, 5, 8, 10, 13, 15, 18, 20, 23, 25, 28]
    assert len(list(Video(str(clip), fps=1000))) == 30
    for wrong in ({"every": 0}, {"every": True}, {"fps": 0}, {"fps": float("nan")}, {"every": 2, "fps": 2}):
        with pytest.raises(UsageError, match=r"every|fps"):
            Video(str(clip), **wrong)


@pytest.mark.parametrize(("turn", "corner"), [(0, (10, 10)), (90, (10, 52)), (180, (52, 36)), (-90, (36, 10))])
def test_rotation_is_applied(tmp_path, turn, corner):
    """The red quarter stands where a player shows it; the turn is counterclockwise."""
    path = make_clip(tmp_path / "turned.mp4", 2, turn=turn, sound=False)
    image = next(iter(Video(str(path)))).image
    assert image.size == ((64, 48) if turn in (0, 180) else (48, 64))
    x, y = corner
    assert image.getpixel((x, y))[0] > 150
    assert image.getpixel((image.width - 1 - x, image.height - 1 - y))[0] < 100


@pytest.mark.parametrize(
    ("codec", "pixels", "suffix"),
    [("ffv1", "gray", "mkv"), ("ffv1", "yuv420p10le", "mkv"), ("ffv1", "yuv444p", "mkv"), ("mpeg4", "yuv420p", "avi")],
)
def test_other_formats_of_pixels(tmp_path, codec, pixels, suffix):
    path = make_clip(tmp_path / f"other.{suffix}", 4, codec=codec, pixels=pixels, sound=False)
    assert [number_in(frame.image) for frame in Video(str(path))] == list(range(4))


def test_transparency_is_laid_over_white(tmp_path):
    path = tmp_path / "alpha.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=RATE)
        video.width, video.height, video.pix_fmt = 32, 32, "bgra"
        pixels = np.zeros((32, 32, 4), np.uint8)
        pixels[:16, :, 3] = 255
        container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, "bgra")))
        container.mux(video.encode(None))
    image = next(iter(Video(str(path)))).image
    assert (image.getpixel((5, 5)), image.getpixel((5, 25))) == ((0, 0, 0), (255, 255, 255))


def test_what_cannot_be_read_is_one_error(tmp_path, clip):
    whole = clip.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    # A playlist, as a video: it would make the reader open other files and addresses.
    (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n")
    (tmp_path / "concat.mp4").write_text(f"ffconcat version 1.0\nfile {clip}\n")
    for name in ("cut.mp4", "text.mp4", "empty.mp4", "list.mp4", "concat.mp4", "missing.mp4", "."):
        with pytest.raises(VideoError, match="; "):
            list(Video(str(tmp_path / name)))
    for name, words in (("cut.mp4", "its index"), ("text.mp4", "no video"), ("empty.mp4", "empty")):
        with pytest.raises(VideoError, match=words):
            list(Video(str(tmp_path / name)))
    with pytest.raises(VideoError, match="no video"):
        list(Video(str(only_sound(tmp_path / "sound.mp4"))))


def only_sound(path):
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=SOUND_RATE)
        part = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        part.sample_rate = SOUND_RATE
        container.mux(audio.encode(part))
        container.mux(audio.encode(None))
    return path


def frames_and_error(path):
    frames = []
    with pytest.raises(VideoError) as caught:
        frames.extend(iter_into(frames, path))
    return frames, str(caught.value)


def iter_into(frames, path):
    for frame in Video(str(path)):
        frames.append(frame)
    return ()


def test_a_damaged_video_gives_what_is_whole_and_one_error(tmp_path):
    path = make_clip(tmp_path / "damaged.mp4", 40, sound=False)
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 2, len(data) // 2 + 6):
        data[place] ^= 0x55
    path.write_bytes(data)
    frames, error = frames_and_error(path)
    assert "damaged in" in error
    assert 30 < len(frames) <= 40


def test_a_video_that_is_cut_short_gives_what_is_there_and_one_error(tmp_path):
    path = make_clip(tmp_path / "cut.mp4", 40, sound=False, faststart=True)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    frames, error = frames_and_error(path)
    assert f"{len(frames)} of its 40 frames" in error
    assert "get it again" in error
    assert 10 < len(frames) < 40


def test_a_video_of_which_nothing_can_be_decoded_is_one_error(tmp_path):
    path = make_clip(tmp_path / "sizes.mp4", 5, sound=False, faststart=True)
    data = bytearray(path.read_bytes())
    sizes = data.index(b"stsz")
    data[sizes + 16 : sizes + 36] = b"\x7f\xff\xff\x00" * 5  # of its frames
    path.write_bytes(data)
    frames, error = frames_and_error(path)
    assert not frames
    assert "none of its frames can be decoded; get it again" in error


def test_limits(clip):
    try:
        for name in ("max_image_pixels", "max_decoder_bytes"):
            set_limits(max_image_pixels=65_000_000, max_decoder_bytes=512 * 2**20)
            set_limits(**{name: 3000})
            with pytest.raises(VideoError, match=name):
                list(Video(str(clip)))
    finally:
        set_limits(max_image_pixels=65_000_000, max_decoder_bytes=512 * 2**20)


# Writing -------------------------------------------------------------------------------------------------------------


def copy(source, target):
    reading = Reading(Video(str(source)), with_sound=True)
    writer = VideoWriter(str(target), reading)
    for frame in reading:
        sound, reading.packets = reading.packets, []
        writer.write(frame.image, frame.pts, sound)
    writer.close(reading.packets)
    reading.close()


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_times_and_sound_are_kept(tmp_path, clip, suffix):
    target = tmp_path / f"copy.{suffix}"
    copy(clip, target)
    before, after = decoded(clip), decoded(target)
    assert [at for at, _ in after] == pytest.approx([at for at, _ in before], abs=0.0011)
    assert [number_in(image) for _, image in after] == list(range(30))
    a, b = sound_of(clip), sound_of(target)
    b = b[1024:] if suffix == "mkv" else b  # what AAC needs before its first sample stands before time 0
    np.testing.assert_array_equal(a, b[: len(a)])
    with av.open(str(target)) as container:
        assert container.streams.video[0].average_rate == pytest.approx(RATE, rel=0.02)
        assert container.streams.audio[0].codec_context.name == "aac"


def test_a_variable_rate_is_kept(tmp_path):
    times = [0, 40, 100, 400, 410, 1000, 1040]
    source = make_clip(tmp_path / "variable.mkv", len(times), times=times, sound=False)
    copy(source, tmp_path / "copy.mp4")
    assert [at for at, _ in decoded(tmp_path / "copy.mp4")] == pytest.approx([at / 1000 for at in times], abs=0.0011)


def test_sound_that_the_container_does_not_take_is_encoded(tmp_path):
    source = tmp_path / "pcm.mkv"
    with av.open(str(source), "w") as container:
        video, audio = container.add_stream("mpeg4", rate=RATE), container.add_stream("pcm_s16be", rate=SOUND_RATE)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for number in range(25):
            container.mux(video.encode(av.VideoFrame.from_ndarray(content(number, (64, 48)), "rgb24")))
            wave = (8000 * np.sin(np.arange(number * 640, (number + 1) * 640) * 0.05)).astype(np.int16)[None]
            part = av.AudioFrame.from_ndarray(wave, "s16", "mono")
            part.sample_rate, part.pts = SOUND_RATE, number * 640
            container.mux(audio.encode(part))
        container.mux(video.encode(None))
    copy(source, tmp_path / "copy.mp4")
    assert len(decoded(tmp_path / "copy.mp4")) == 25
    assert len(sound_of(tmp_path / "copy.mp4")) >= 0.9 * SOUND_RATE


def test_odd_sides_become_even():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (5, 7, 3), np.uint8))
    wider = np.asarray(even(image))
    assert wider.shape == (6, 8, 3)
    np.testing.assert_array_equal(wider, np.pad(np.asarray(image), ((0, 1), (0, 1), (0, 0)), mode="edge"))


# Predicting ----------------------------------------------------------------------------------------------------------


def test_results_know_their_frame(clip, model):
    predictor = mobilenet.load(model)
    results = list(predictor.video(clip, every=10))
    assert [(result.frame, result.time, result.path) for result in results] == [
        (number, pytest.approx(number / RATE), str(clip)) for number in (0, 10, 20)
    ]
    assert results[1].to_dict()["frame"] == 10
    assert results[0].plot().size == (64, 48)
    mixed = list(predictor([str(clip), ROOT / "photos" / "cat.jpg"]))
    assert [result.frame for result in mixed] == [*range(30), None]
    assert next(iter(predictor(mobilenet.Video(str(clip), every=4)))) == results[0]
    errors = []
    assert not list(predictor.stream(["missing.mp4"], report=errors.append))
    assert len(errors) == 1
    with pytest.raises(UsageError, match="every"):
        predictor.video(clip, every=0)


@pytest.mark.parametrize("workers", [1, 3])
def test_an_annotated_video(tmp_path, clip, model, workers):
    shutil.copy(clip, tmp_path / "own.MP4")
    words = (tmp_path / "own.MP4", "--model", model, "--workers", workers, "--save", tmp_path / "drawn")
    result = predict(*words, "--output", tmp_path / "a.jsonl")
    assert result.exit_code == 0, result.output
    lines = rows(tmp_path / "a.jsonl")
    assert [(line["frame"], line["time"]) for line in lines] == [(number, pytest.approx(number / RATE)) for number in range(30)]
    (drawn,) = (tmp_path / "drawn").iterdir()
    assert drawn.name == "own.mp4"
    frames = decoded(drawn)
    assert [at for at, _ in frames] == pytest.approx([at for at, _ in decoded(clip)], abs=0.0011)
    assert np.abs([number_in(image) - number for number, (_, image) in enumerate(frames)]).max() <= 1, "in order"
    assert np.asarray(frames[3][1])[-12:, :20].mean() < 60, "a band with the answer"
    assert len(sound_of(drawn)) >= len(sound_of(clip))


def test_videos_of_one_name_stay_apart(tmp_path, clip, model):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    shutil.copy(clip, tmp_path / "a" / "same.mp4")
    make_clip(tmp_path / "b" / "same.mp4", 2, sound=False)
    assert predict(tmp_path / "b", tmp_path / "a", "--model", model, "--save", tmp_path / "drawn").exit_code == 0
    assert len(decoded(tmp_path / "drawn" / "same.mp4")) == 2
    assert len(decoded(tmp_path / "drawn" / "same-2.mp4")) == 30


def test_resuming_goes_on_after_the_last_frame(tmp_path, clip, model):
    whole, part = tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    assert predict(clip, "--model", model, "--output", whole).exit_code == 0
    lines = whole.read_text("utf-8").splitlines(keepends=True)
    part.write_text("".join(lines[:12]) + lines[12][:30], "utf-8")
    result = predict(clip, "--model", model, "--output", part, "--resume", "--save", tmp_path / "drawn")
    assert result.exit_code == 0, result.output
    assert part.read_text("utf-8") == whole.read_text("utf-8")
    assert len(decoded(tmp_path / "drawn" / "clip.mp4")) == 18
    assert "0 of 0" in predict(clip, "--model", model, "--output", part, "--resume").output


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_other_formats_resume_too(tmp_path, clip, model, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"a.{kind}"
    words = (clip, "--model", model, "--output", out, "--every", 10)
    assert predict(*words).exit_code == 0
    before = out.read_bytes()
    assert predict(*words, "--resume").exit_code == 0
    if kind == "parquet":
        import pyarrow.parquet as parquet

        assert parquet.read_table(out)["frame"].to_pylist() == [0, 10, 20]
    else:
        assert out.read_bytes() == before


def test_videos_in_folders(tmp_path, clip, model, monkeypatch):
    shutil.copy(clip, tmp_path / "a.mp4")
    shutil.copy(ROOT / "photos" / "cat.jpg", tmp_path / "b.jpg")
    (tmp_path / "c.mp4").write_text("no video")
    (tmp_path / "code.ts").write_text("let x = 1")
    result = predict(tmp_path, "--model", model, "--every", 15, "--format", "jsonl")
    assert result.exit_code == 1
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(Path(line["input"]).name, line.get("frame"), "error" in line) for line in lines] == [
        ("a.mp4", 0, False), ("a.mp4", 15, False), ("b.jpg", None, False), ("c.mp4", None, True)
    ]  # fmt: skip
    monkeypatch.setattr("mobilenet.images.find.can_read_videos", lambda: False)
    result = predict(tmp_path, "--model", model)
    assert "2 .mp4" in result.stderr
    assert "pip install 'mobilenet[video]'" in result.stderr


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clips") / "long.mp4", 900)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_leaves_a_video_that_plays(tmp_path, model, long_clip, sent):
    source = long_clip
    words = ["predict", source, "--model", model, "--save", tmp_path / "drawn", "--output", tmp_path / "a.jsonl"]
    process = subprocess.Popen([sys.executable, "-m", "mobilenet", *map(str, words)], stderr=subprocess.PIPE)
    drawn = tmp_path / "drawn" / "long.mp4"
    end = time.monotonic() + 60
    while not (drawn.exists() and drawn.stat().st_size > 16_000):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(sent)
    process.communicate(timeout=60)
    frames = [number_in(image) for _, image in decoded(drawn)]
    assert 40 < len(frames) < 900
    if sent == signal.SIGINT:
        assert len(frames) >= len(rows(tmp_path / "a.jsonl"))


# Cameras and streams -------------------------------------------------------------------------------------------------


def test_a_stream_over_a_socket_drops_frames_and_counts_them(tmp_path, model):
    """A sender that does not wait for its receiver, like a camera. A slow receiver gets the newest frames, in order."""
    source = make_clip(tmp_path / "clip.ts", 40, sound=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = threading.Thread(target=send, args=(server, source.read_bytes()))
        sender.start()
        video = Video(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        numbers = []
        for frame in video:
            numbers.append(frame.number)
            assert number_in(frame.image) == frame.number % 30
            time.sleep(0.1)
        sender.join()
    assert numbers == sorted(set(numbers))
    assert video.num_frames == 40
    assert video.num_dropped == 40 - len(numbers) > 10
    assert numbers[-1] == 39, "the last frame is not lost"


def send(server, content):
    connection, _ = server.accept()
    with connection:
        for start in range(0, len(content), 4096):
            connection.sendall(content[start : start + 4096])
            time.sleep(0.005)


def test_a_file_is_never_dropped_from(clip):
    video = Video(str(clip))
    for _ in video:
        time.sleep(0.002)
    assert (video.num_frames, video.num_dropped) == (30, 0)


def test_a_camera_that_is_not_there_is_one_error(model):
    result = predict("camera:97", "--model", model)
    assert result.exit_code == 1
    assert "plugged in" in result.stderr


def test_a_window_needs_a_display(clip, model, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    result = predict(clip, "--model", model, "--show")
    assert result.exit_code == 2
    assert "give --save" in result.stderr


def test_the_window_shows_the_newest_frame(monkeypatch):
    """With a stand-in for tkinter: there is no display here."""
    from types import SimpleNamespace

    from PIL import ImageTk

    from mobilenet.video.window import Window

    shown = []

    class Tk:
        def title(self, text): ...
        def update(self): ...
        def destroy(self): ...
        def protocol(self, name, action):
            self.action = action

        def winfo_screenwidth(self):
            return 1000

        def winfo_screenheight(self):
            return 500

    label = SimpleNamespace(pack=lambda: None, configure=lambda **settings: shown.append(settings["image"]))
    fake = SimpleNamespace(Tk=Tk, TclError=RuntimeError, Label=lambda root, borderwidth: label)
    monkeypatch.setitem(sys.modules, "tkinter", fake)
    monkeypatch.setattr(ImageTk, "PhotoImage", lambda image: image.size)
    window = Window("test")
    window.refresh()
    window.show(Image.new("RGB", (10, 10)))
    window.show(Image.new("RGB", (4000, 1000)))
    window.refresh()
    assert shown == [(800, 200)], "one frame, the newest, as large as the screen allows"
    window.root.action()
    assert not window.is_open
    window.refresh()
