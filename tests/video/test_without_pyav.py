"""Videos on an installation without the extra [video]."""

from __future__ import annotations

import shutil
import sys

import pytest
from click.testing import CliRunner
from support.models import toy
from support.paths import ROOT

from mobilenet import modelfile
from mobilenet.cli.main import main


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr("mobilenet.images.find.can_read_videos", lambda: False)
    modelfile.write(toy(), tmp_path / "toy.safetensors")
    return tmp_path / "toy.safetensors"


@pytest.mark.parametrize("options", [(), ("--every", "2")])
def test_one_line_names_the_extra(tmp_path, model, options):
    (tmp_path / "clip.mp4").touch()
    result = CliRunner().invoke(main, ["predict", str(tmp_path / "clip.mp4"), "--model", str(model), *options])
    assert result.exit_code == 2
    assert "pip install 'mobilenet[video]'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_videos_in_folders_are_counted(tmp_path, model):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "clip.mp4").touch()
    shutil.copy(ROOT / "photos" / "cat.jpg", tmp_path / "photos")
    result = CliRunner().invoke(main, ["predict", str(tmp_path / "photos"), "--model", str(model)])
    assert result.exit_code == 0
    assert "skipped 1 .mp4 (pip install 'mobilenet[video]' for videos)" in result.stderr
