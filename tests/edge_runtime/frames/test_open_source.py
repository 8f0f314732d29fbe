import importlib.util
import logging
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.contract.errors import SourceError, UsageError
from fer_edge.frames import SourceOptions, devices, list_cameras, open_source, picamera2
from fer_edge.frames.devices import Device
from fer_edge.frames.stills import Stills
from fer_edge.frames.transform import Transformed
from fer_edge.frames.video_file import VideoFile


@pytest.mark.parametrize("spec", ["", "demoo", "picamera2:x", "picamera", "ftp://host/clip.mkv", "-1", "rtsp://", "٣"])
def test_nonsense_is_refused_with_what_is_accepted(spec: str) -> None:
    with pytest.raises(UsageError, match=r"is not known; give auto, picamera2\[:N\].* or demo"):
        open_source(spec, SourceOptions())


@pytest.mark.parametrize("spec", ["clips/none.mkv", "none.jpg", "/no/such/folder", "./0", f"{300 * 'n'}.mkv"])
def test_a_path_that_does_not_exist_is_called_that(spec: str) -> None:
    with pytest.raises(UsageError, match=f"source {spec!r} does not exist"):
        open_source(spec, SourceOptions())


def test_nonsense_does_not_show_a_password() -> None:
    with pytest.raises(UsageError) as error:
        open_source("rtps://admin:geheim@host/live", SourceOptions())
    assert "geheim" not in str(error.value) and "rtps://host/live" in str(error.value)


def test_files_are_opened_by_what_they_are(tmp_path: Path) -> None:
    picture = tmp_path / "FACE.JPG"
    assert cv2.imwrite(str(picture), np.zeros((8, 8), np.uint8))
    assert isinstance(open_source(str(picture), SourceOptions()), Stills)
    assert isinstance(open_source(str(tmp_path), SourceOptions()), Stills)
    clip = tmp_path / "clip"
    writer = cv2.VideoWriter(str(tmp_path / "c.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    (tmp_path / "c.avi").rename(clip)
    assert isinstance(open_source(str(clip), SourceOptions()), VideoFile)
    turned = open_source(str(picture), SourceOptions(rotate=180))
    assert isinstance(turned, Transformed) and isinstance(turned.source, Stills)


@pytest.mark.parametrize("spec", ["7", "/dev/video7"])
def test_numbers_and_nodes_are_v4l2(spec: str) -> None:
    with pytest.raises(SourceError, match="/dev/video7"):
        open_source(spec, SourceOptions())


def test_udevs_names_of_cameras_are_v4l2_even_while_they_are_absent() -> None:
    with pytest.raises(SourceError, match="there is no camera at /dev/v4l/by-id/usb-C270; plug it in"):
        open_source("/dev/v4l/by-id/usb-C270", SourceOptions())


@pytest.fixture
def no_picamera2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)


@pytest.mark.skipif(importlib.util.find_spec("skimage") is None, reason="needs the demo extra")
@pytest.mark.usefixtures("no_picamera2")
def test_auto_takes_the_demo_where_there_is_no_camera_and_names_a_locked_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(devices, "devices", lambda: [Device(Path("/dev/video0"), "Locked", None)])
    with caplog.at_level(logging.INFO):
        frame = open_source("auto", SourceOptions()).read()
    assert frame is not None and frame.source == "demo"
    assert "/dev/video0 is left out: it may not be opened" in caplog.text
    assert "source auto: demo (no camera was found)" in caplog.text


@pytest.mark.usefixtures("no_picamera2")
def test_auto_takes_the_first_v4l2_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Device(Path("/dev/video98"), "C270", True), Device(Path("/dev/video99"), "C920", True)]
    monkeypatch.setattr(devices, "devices", lambda: found)
    with pytest.raises(SourceError, match="/dev/video98"):
        open_source("auto", SourceOptions())
    assert list_cameras() == [("/dev/video98", "C270"), ("/dev/video99", "C920")]


@pytest.mark.usefixtures("no_picamera2")
def test_auto_on_a_raspberry_pi_names_the_package_it_misses(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(devices, "devices", lambda: [Device(Path("/dev/video99"), "C270", True)])
    monkeypatch.setattr(picamera2, "on_raspberry_pi", lambda: True)
    with pytest.raises(SourceError):
        open_source("auto", SourceOptions())
    assert "python3-picamera2 --no-install-recommends" in caplog.text


def test_importing_loads_no_opencv() -> None:
    script = "import sys, fer_edge.frames, fer_edge.frames.devices; sys.exit('cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
