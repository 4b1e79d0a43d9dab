"""Inputs in parts, and the stores that they come from; Ray is not needed."""

from __future__ import annotations

import pickle

import pytest

from mobilenet.cluster.parts import Rows, key_of, missing, named_parts, num_inputs
from mobilenet.errors import MobilenetError, UsageError
from mobilenet.images.find import is_image
from mobilenet.predict.held import Held

NAMES = [(f"photos/{number}.jpg", None) for number in range(5_000)]


def test_parts_hold_every_name_once_and_in_order():
    parts = list(named_parts(iter(NAMES), found=True, size=100))
    assert [name for part in parts for name in part.names] == [name for name, _ in NAMES]
    assert max(map(num_inputs, parts)) <= 200
    assert 5_000 / 200 <= len(parts) <= 2 * 5_000 / 100
    assert len({key_of(part) for part in parts}) == len(parts)


def test_a_new_name_changes_few_parts():
    before = {key_of(part) for part in named_parts(NAMES, found=True, size=100)}
    after = {key_of(part) for part in named_parts([("photos/new.jpg", None), *NAMES], found=True, size=100)}
    assert len(after - before) <= 4  # up to the next name that ends a part whatever stands before it


def test_what_the_output_holds_is_left_out():
    first, second, *rest = named_parts(NAMES[:500], found=False, size=50)
    held = Held()
    for name in second.names[1:]:
        held.add(name, False)
    left = dict(missing([first, second, *rest], {key_of(first)}, held))
    assert key_of(first) not in left
    assert left[key_of(second)].names == second.names[:1]
    rows = Rows("t.parquet", "parquet", "image", 10, 14)
    held.add("t.parquet#12", False)
    ((key, part),) = missing([rows], set(), held)
    assert (key, part.skip, num_inputs(part)) == (key_of(rows), (12,), 3)


def test_an_output_has_answers_of_one_kind(tmp_path):
    """What made the first part makes all; a record that is not there is not compared, and one that is damaged is no record."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from mobilenet.cluster.folder import SETTINGS, Folder
    from mobilenet.cluster.stores import Stores

    output = Folder(str(tmp_path), "jsonl", Stores(None))
    settings = {"model": "toy (1234)", "views": None, "classes": ["cat", "dog"], "fast_decoding": True}
    output.keep_settings(settings, begins=not output.prepare(resume=False))
    output.write("0" * 32, [])
    done = output.prepare(resume=True)
    assert len(done) == 1
    output.keep_settings(settings, begins=False)
    for change, words in (
        ({"model": "other (5678)"}, "with model toy (1234), not with model other (5678)"),
        ({"views": "1,flip"}, "without views, not with views 1,flip"),
        ({"classes": None}, "with classes cat,dog, not without classes"),
        ({"fast_decoding": False}, "with fast_decoding, not without fast_decoding"),
    ):
        with pytest.raises(UsageError) as caught:
            output.keep_settings({**settings, **change}, begins=False)
        assert f"{tmp_path}: its answers were made {words}; give" in str(caught.value)
    (tmp_path / SETTINGS).write_text("[1")
    with pytest.raises(MobilenetError, match=f"{SETTINGS}: holds no settings"):
        output.keep_settings(settings, begins=False)
    (tmp_path / SETTINGS).unlink()
    output.keep_settings({**settings, "views": "flip"}, begins=False)


@pytest.fixture
def folder(tmp_path):
    for name in ("a.jpg", "b c.png", "notes.txt", ".hidden.jpg", "deep/d.jpg", "deep/er/e.jpg", "x#1.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(name.encode())
    return tmp_path


def test_files_of_a_store_are_found_read_and_written(folder):
    """By address, and by a path in a filesystem; also in another process."""
    fs = pytest.importorskip("pyarrow.fs", reason="pyarrow is not installed; it is the extra [parquet]")
    from mobilenet.cluster.stores import Stores

    address = folder.as_uri()
    inside = fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())
    for stores, start in ((Stores(), f"{address}/"), (Stores(inside), "")):

        def found(item, stores=stores, start=start, **settings):
            return [name.removeprefix(start) for name in stores.files(start + item, is_image, **settings)]

        sharp, space = ("x%231.jpg", "b%20c.png") if start else ("x#1.jpg", "b c.png")
        assert found("photos") == [
            "photos/a.jpg",
            f"photos/{space}",
            "photos/deep/d.jpg",
            "photos/deep/er/e.jpg",
            f"photos/{sharp}",
        ]
        assert found("photos", recursive=False) == ["photos/a.jpg", f"photos/{space}", f"photos/{sharp}"]
        assert found("photos/*.jpg") == ["photos/a.jpg", f"photos/{sharp}"]
        assert found("photos/**/*.jpg") == ["photos/a.jpg", "photos/deep/d.jpg", "photos/deep/er/e.jpg", f"photos/{sharp}"]
        assert found("photos/[a-b]*") == ["photos/a.jpg", f"photos/{space}"]
        assert found("photos/notes.txt") == ["photos/notes.txt"]
        assert found("nowhere") == []
        again = pickle.loads(pickle.dumps(stores))
        assert again.read(f"{start}photos/{sharp}") == b"x#1.jpg"
        again.write(f"{start}photos/deep", "new.bin", b"new")
        assert (folder / "photos/deep/new.bin").read_bytes() == b"new"
        assert not list((folder / "photos/deep").glob(".*"))
        with pytest.raises(ValueError, match="cannot be read"):
            again.read(f"{start}photos/missing.jpg")
