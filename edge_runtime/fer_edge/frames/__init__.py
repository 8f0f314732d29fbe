"""Where frames come from: cameras, files, streams and the demo, all behind `FrameSource`."""

from __future__ import annotations

import functools
import logging
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from fer_edge.contract.errors import SourceError, UsageError
from fer_edge.contract.redaction import redact
from fer_edge.frames.options import SourceOptions
from fer_edge.seams import FrameSource

__all__ = ["SourceOptions", "check_source", "list_cameras", "open_source"]

_log = logging.getLogger(__name__)


def open_source(spec: str, options: SourceOptions) -> FrameSource:
    """Open the source that `spec` names.

    Args:
        spec: `auto`, `picamera2` or `picamera2:N`, `N`, `/dev/videoN` or a link to it below /dev/v4l (V4L2), a
            video file, an image file, a folder of stills, a network URL, or `demo`.
        options: what is asked of it.

    Raises:
        UsageError: `spec` is none of these, or a path that does not exist.
        SourceError: the source is absent, busy or damaged.
    """
    check_source(spec)
    if spec == "auto":
        spec = _auto()
    kind = next(kind for kind in _KINDS if kind.claims(spec))
    opened = kind.open
    if opened is _v4l2:
        from fer_edge.frames import devices

        # Asked for while it is there: unplugged and plugged in again, it may get another number.
        opened = functools.partial(_v4l2, others=devices.lasting_names(_node(spec)))

    def open_one() -> FrameSource:
        source = opened(spec, options)
        if not options.rotate and not options.flip and options.roi is None:
            return source
        from fer_edge.frames.transform import Transformed

        return Transformed(source, options)

    if not kind.comes_back:
        return open_one()
    from fer_edge.frames.reopening import Reopening

    return Reopening(redact(spec), open_one)


def check_source(spec: str) -> None:
    """Refuse a spec that is none of those `open_source` knows, without opening anything.

    Raises:
        UsageError: it is none of them, or a path that does not exist.
    """
    if spec != "auto" and not any(kind.claims(spec) for kind in _KINDS):
        raise UsageError(_nonsense(spec))


def list_cameras() -> list[tuple[str, str]]:
    """The cameras this machine can see, as (spec for `open_source`, description)."""
    from fer_edge.frames import devices, picamera2

    try:
        found = picamera2.cameras()
    except SourceError as error:
        _log.debug("%s", error)
        found = []
    for device in devices.devices():
        found.append((str(device.path), device.name + (f" ({_LOCKED})" if device.captures is None else "")))
    return found


def _auto() -> str:
    """The first camera, or the demo."""
    from fer_edge.frames import devices, picamera2

    try:
        on_connector = picamera2.cameras()
    except SourceError as error:
        # Only a Raspberry Pi is expected to have it.
        _log.log(logging.WARNING if picamera2.on_raspberry_pi() else logging.DEBUG, "%s", error)
        on_connector = []
    found = devices.devices()
    for device in found:
        if device.captures is None:
            _log.warning("%s is left out: it %s", device.path, _LOCKED)
    cameras = [device for device in found if device.captures]
    if on_connector:
        chosen, why = on_connector[0]
    elif cameras:
        chosen, why = str(cameras[0].path), cameras[0].name
    else:
        chosen, why = "demo", "no camera was found"
    _log.info("source auto: %s (%s)", chosen, why)
    return chosen


_LOCKED = "may not be opened: sudo usermod -aG video $USER, then log in again"


def _picamera2(spec: str, options: SourceOptions) -> FrameSource:
    from fer_edge.frames.picamera2 import Picamera2Camera

    return Picamera2Camera(int(spec.partition(":")[2] or 0), options)


def _v4l2(spec: str, options: SourceOptions, others: Sequence[Path] = ()) -> FrameSource:
    from fer_edge.frames.v4l2 import V4L2Camera

    return V4L2Camera(_node(spec), options, others=others)


def _node(spec: str) -> Path:
    return Path(f"/dev/video{spec}" if spec.isdecimal() else spec)


def _demo(spec: str, options: SourceOptions) -> FrameSource:
    from fer_edge.frames.demo import Demo

    return Demo(options)


def _network(spec: str, options: SourceOptions) -> FrameSource:
    from fer_edge.frames.network import NetworkStream

    return NetworkStream(spec)


def _file(spec: str, options: SourceOptions) -> FrameSource:
    from fer_edge.frames.stills import SUFFIXES, Stills
    from fer_edge.frames.video_file import VideoFile

    path = Path(spec)
    if path.is_dir() or path.suffix.lower() in SUFFIXES:
        return Stills(path)
    return VideoFile(path)


class _Kind(NamedTuple):
    """One kind of source: which specs are its own, how one is opened, and whether it is opened again when it stops."""

    claims: Callable[[str], object]
    open: Callable[[str, SourceOptions], FrameSource]
    comes_back: bool = False


def _matches(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern, re.ASCII).fullmatch


# The first that claims a spec opens it; OpenCV and the camera libraries are loaded only then.
_KINDS = (
    _Kind(_matches(r"picamera2(:\d{1,3})?"), _picamera2, comes_back=True),
    _Kind(_matches(r"(/dev/video)?\d{1,3}|/dev/v4l/by-(id|path)/[^/]+"), _v4l2, comes_back=True),
    _Kind(_matches("demo"), _demo),
    _Kind(_matches(r"(?i:rtsps?|rtmp|https?|udp|tcp)://[^/].*"), _network, comes_back=True),
    # Path.exists raises where a name is too long or a folder is locked.
    _Kind(os.path.exists, _file),
)

_ACCEPTED = (
    "auto, picamera2[:N], a camera number, /dev/videoN or a link in /dev/v4l, a video file, a picture, a folder of "
    "pictures, an rtsp://, rtmp://, http://, udp:// or tcp:// address, or demo"
)


def _nonsense(spec: str) -> str:
    shown = redact(spec)
    if "://" not in spec and ("/" in spec or Path(spec).suffix):
        return f"source {shown!r} does not exist, or this user may not see it; check the path, or give {_ACCEPTED}"
    return f"source {shown!r} is not known; give {_ACCEPTED}"
