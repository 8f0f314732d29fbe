"""Which V4L2 nodes are cameras."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path

DEV = Path("/dev")
SYS = Path("/sys/class/video4linux")
LINKS = DEV / "v4l"
"""Where udev keeps names of cameras that do not change with the order in which they were plugged in."""

# linux/videodev2.h; struct v4l2_capability is driver[16], card[32], bus_info[32], version,
# capabilities, device_caps, reserved[3].
_CAPABILITY = struct.Struct("=16s32s32sIII12x")
_VIDIOC_QUERYCAP = 0x8000_0000 | _CAPABILITY.size << 16 | ord("V") << 8
_CAP_VIDEO_CAPTURE = 0x0000_0001
_CAP_VIDEO_CAPTURE_MPLANE = 0x0000_1000
_CAP_IO_MC = 0x2000_0000
_CAP_DEVICE_CAPS = 0x8000_0000

_NOT_ALONE = frozenset(("unicam", "rp1-cfe", "bcm2835-isp", "pispbe", "bcm2835-codec", "rpi-hevc-dec"))
"""Drivers of a Raspberry Pi's own camera pipeline: their nodes deliver nothing without libcamera."""


@dataclass(frozen=True, slots=True)
class Device:
    """A V4L2 node.

    Attributes:
        path: such as /dev/video0.
        name: what the camera calls itself.
        captures: whether it delivers frames by itself; None where it may not be asked.
    """

    path: Path
    name: str
    captures: bool | None


def devices(dev: Path = DEV, sys: Path = SYS) -> list[Device]:
    """The V4L2 nodes that are cameras or may be, by number; nodes that are surely none are left out."""
    nodes = [(int(path.name[5:]), path) for path in dev.glob("video*") if path.name[5:].isdecimal()]
    found = (probe(path, sys) for _, path in sorted(nodes))
    return [device for device in found if device.captures is not False]


def lasting_names(node: Path, links: Path = LINKS) -> tuple[Path, ...]:
    """udev's names of a node, that of its port before that of its model: by them a camera is found under a new number.

    A camera that falls off the bus while it is open comes back under another one, since its own is not free yet.
    """
    found: list[Path] = []
    for kind in ("by-path", "by-id"):
        with contextlib.suppress(OSError):
            found += sorted(link for link in (links / kind).iterdir() if link.resolve() == node.resolve())
    return tuple(found)


def probe(path: Path, sys: Path = SYS) -> Device:
    """Ask one node what it is, by VIDIOC_QUERYCAP."""
    try:
        name = (sys / path.name / "name").read_text(errors="replace").strip()
    except OSError:
        name = path.name
    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return Device(path, name, None)
    try:
        answer = fcntl.ioctl(handle, _VIDIOC_QUERYCAP, bytes(_CAPABILITY.size))
    except OSError:
        return Device(path, name, False)
    finally:
        os.close(handle)
    driver, card, _bus, _version, capabilities, device_caps = _CAPABILITY.unpack(answer)
    return Device(path, _text(card) or name, delivers_frames(_text(driver), capabilities, device_caps))


def delivers_frames(driver: str, capabilities: int, device_caps: int) -> bool:
    """Whether a node with this VIDIOC_QUERYCAP answer is a camera that can be read by itself."""
    caps = device_caps if capabilities & _CAP_DEVICE_CAPS else capabilities
    captures = caps & (_CAP_VIDEO_CAPTURE | _CAP_VIDEO_CAPTURE_MPLANE)
    return bool(captures) and not caps & _CAP_IO_MC and driver not in _NOT_ALONE


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode(errors="replace").strip()
