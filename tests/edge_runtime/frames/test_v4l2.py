import errno
import fcntl
import os
import struct
from pathlib import Path
from typing import Any

import cv2
import pytest

from fer_edge.contract.errors import SourceError
from fer_edge.frames import SourceOptions
from fer_edge.frames.devices import Device, delivers_frames, devices, lasting_names, probe
from fer_edge.frames.v4l2 import V4L2Camera, open_failure

VIDEO_CAPTURE, META_CAPTURE, IO_MC, M2M_MPLANE, STREAMING, DEVICE_CAPS = (
    0x1, 0x0080_0000, 0x2000_0000, 0x4000, 0x0400_0000, 0x8000_0000
)  # fmt: skip


@pytest.mark.parametrize(
    ("driver", "capabilities", "device_caps", "camera"),
    [
        ("uvcvideo", 0x84A0_0001, VIDEO_CAPTURE | STREAMING, True),
        ("uvcvideo", 0x84A0_0001, META_CAPTURE | STREAMING, False),  # a webcam's second node
        ("ancient", VIDEO_CAPTURE, 0, True),  # before device_caps existed
        ("v4l2 loopback", DEVICE_CAPS | VIDEO_CAPTURE, VIDEO_CAPTURE, True),
        ("bcm2835-codec", DEVICE_CAPS | M2M_MPLANE, M2M_MPLANE | STREAMING, False),
        ("bcm2835-isp", DEVICE_CAPS | VIDEO_CAPTURE, VIDEO_CAPTURE | STREAMING, False),
        ("some-csi", DEVICE_CAPS | VIDEO_CAPTURE, VIDEO_CAPTURE | IO_MC, False),
    ],
)
def test_a_camera_is_told_from_other_nodes(driver: str, capabilities: int, device_caps: int, camera: bool) -> None:
    assert delivers_frames(driver, capabilities, device_caps) is camera


def test_the_ioctl_is_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    def querycap(handle: int, request: int, answer: bytes) -> bytes:
        assert (request, len(answer)) == (0x8068_5600, 104)  # VIDIOC_QUERYCAP
        caps = (0x0006_0000, 0x84A0_0001, VIDEO_CAPTURE | STREAMING)
        return struct.pack("16s32s32s3I12x", b"uvcvideo", b"HD Webcam C270", b"usb-0000:01:00.0-1.2", *caps)

    monkeypatch.setattr(fcntl, "ioctl", querycap)
    assert probe(Path(os.devnull)) == Device(Path(os.devnull), "HD Webcam C270", True)


def test_nodes_are_listed_by_number_and_those_that_are_no_cameras_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev, sys = tmp_path / "dev", tmp_path / "sys"
    dev.mkdir()
    for number in (10, 2, 0):
        (dev / f"video{number}").write_bytes(b"")
        (sys / f"video{number}").mkdir(parents=True)
        (sys / f"video{number}" / "name").write_text(f"Camera {number}\n")
    (dev / "video-codec").write_bytes(b"")
    assert devices(dev, sys) == []  # plain files refuse the ioctl

    real_open = os.open

    def locked(path: Any, *rest: Any) -> int:
        if Path(path).name != "video2":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real_open(path, *rest)

    monkeypatch.setattr(os, "open", locked)
    assert devices(dev, sys) == [
        Device(dev / "video0", "Camera 0", None),
        Device(dev / "video10", "Camera 10", None),
    ]


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A folder as /dev: two nodes, and udev's links to them."""
    for number in (0, 1):
        (tmp_path / f"video{number}").touch()
    for link, node in (
        ("by-id/usb-C270-video-index0", "video0"),
        ("by-path/pci-usb-0:1:1.0-video-index0", "video0"),
        ("by-path/pci-usb-0:2:1.0-video-index0", "video1"),
    ):
        path = tmp_path / "v4l" / link
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(tmp_path / node)
    return tmp_path


def test_a_cameras_lasting_names_are_those_of_its_port_and_its_model(linked: Path) -> None:
    names = lasting_names(linked / "video0", linked / "v4l")
    assert [name.name for name in names] == ["pci-usb-0:1:1.0-video-index0", "usb-C270-video-index0"]
    assert lasting_names(linked / "video2", linked / "v4l") == ()
    assert lasting_names(linked / "video0", linked / "absent") == ()


def test_a_camera_that_comes_back_under_another_number_is_found(linked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Refused:
        def __init__(self, path: str, _: int) -> None:
            asked.append(path)

        def isOpened(self) -> bool:  # noqa: N802
            return False

        def release(self) -> None:
            pass

    names = lasting_names(linked / "video0", linked / "v4l")
    monkeypatch.setattr(cv2, "VideoCapture", Refused)
    for name in names:
        name.unlink()
        name.symlink_to(linked / "video7")
    (linked / "video0").rename(linked / "video7")
    with pytest.raises(SourceError):
        V4L2Camera(linked / "video0", SourceOptions(), others=names)
    assert asked == [str(linked / "video7")]


def test_an_absent_camera_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"there is no camera at .*video7; plug it in"):
        V4L2Camera(tmp_path / "video7", SourceOptions())


def test_a_node_that_is_no_camera_is_named() -> None:
    with pytest.raises(SourceError, match="/dev/null is not a camera"):
        V4L2Camera(Path("/dev/null"), SourceOptions())


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (errno.EACCES, "usermod -aG video"),
        (errno.EBUSY, "in use by another program"),
        (errno.ENODEV, r"cannot be opened \(No such device\)"),
    ],
)
def test_why_a_camera_does_not_open(monkeypatch: pytest.MonkeyPatch, error: int, sentence: str) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(SourceError, match=sentence):
        raise SourceError(open_failure(Path("/dev/video0")))


def test_a_camera_that_opens_for_us_but_not_for_opencv_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    caps = struct.pack("16s32s32s3I12x", b"uvcvideo", b"Cam", b"usb", 1, 0x8000_0001, VIDEO_CAPTURE)
    monkeypatch.setattr(fcntl, "ioctl", lambda *_: caps)
    assert "fuser -v /dev/null" in open_failure(Path("/dev/null"))
