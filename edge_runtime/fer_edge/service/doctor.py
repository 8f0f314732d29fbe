"""What works on this machine, what does not, and the command that mends it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from fer_edge.contract.errors import FerError
from fer_edge.contract.files import sha256_of
from fer_edge.expressions import litert
from fer_edge.faces.weights import YUNET_SHA256, find_yunet
from fer_edge.service.config import Settings

THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
TEMPERATURE = Path("/sys/class/thermal/thermal_zone0/temp")
Number = TypeVar("Number", int, float)
BOARD = Path("/proc/device-tree/model")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        state: `ok`, `note` (works, could be better) or `stop` (fer-edge run cannot work).
        what: the part.
        found: what was found.
        mend: the command or step that mends it; empty when there is nothing to mend.
    """

    state: str
    what: str
    found: str
    mend: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything `fer-edge run` with these settings depends on."""
    yield _python()
    for package, module in (("numpy", "numpy"), ("opencv-python-headless", "cv2")):
        yield _package(package, module)
    for check in (_model, _haar, _yunet, _cameras, _picamera2, _temperature, _throttling, _disk):
        try:
            yield from check(settings)
        except FerError as error:
            yield Finding("stop", check.__name__.strip("_"), str(error))


def _python() -> Finding:
    found = f"{platform.python_version()}, {'64' if sys.maxsize > 2**32 else '32'}-bit, {platform.machine()}"
    if (3, 11) <= sys.version_info < (3, 14):
        return Finding("ok", "python", found)
    return Finding("note", "python", found, "3.11 to 3.13 are tested")


def _package(package: str, module: str) -> Finding:
    if importlib.util.find_spec(module) is None:
        return Finding("stop", package, "not installed", f"pip install {package}")
    try:
        return Finding("ok", package, metadata.version(package))
    except metadata.PackageNotFoundError:
        # apt's python3-opencv and python3-numpy carry no PyPI name.
        return Finding("ok", package, "installed outside pip")


def _model(settings: Settings) -> Iterator[Finding]:
    path = Path(settings.model) if settings.model else litert.shipped_model()
    classifier = litert.load(path)
    yield Finding("ok", "tflite runtime", classifier.runtime)
    yield Finding(
        "ok", "model", f"{classifier.model.name}, golden inputs within {classifier.golden_steps} of 256 steps"
    )


def _haar(settings: Settings) -> Iterator[Finding]:
    from fer_edge.faces.haar import HaarDetector

    HaarDetector()
    yield Finding("ok", "haar", "cascade loads")


def _yunet(settings: Settings) -> Iterator[Finding]:
    weights = find_yunet()
    if weights is None:
        state = "stop" if settings.detector == "yunet" else "note"
        yield Finding(state, "yunet", "weights not installed; Haar serves", "fer-edge model pull yunet")
    elif sha256_of(weights) != YUNET_SHA256:
        yield Finding("stop", "yunet", f"{weights} is damaged", "fer-edge model pull yunet --force")
    else:
        yield Finding("ok", "yunet", str(weights))


def _cameras(settings: Settings) -> Iterator[Finding]:
    from fer_edge.frames import list_cameras

    cameras = list_cameras()
    for spec, description in cameras:
        unreadable = spec.startswith("/dev/") and not os.access(spec, os.R_OK | os.W_OK)
        if unreadable:
            yield Finding(
                "note", "camera", f"{spec} may not be opened", "sudo usermod -aG video $USER, then log in again"
            )
        else:
            yield Finding("ok", "camera", f"{spec}: {description}")
    if not cameras:
        yield Finding("note", "camera", "none found; the demo serves", "plug one in, then: fer-edge cameras")


def _picamera2(settings: Settings) -> Iterator[Finding]:
    board = BOARD.read_text().strip("\0\n") if BOARD.exists() else ""
    if "Raspberry Pi" not in board:
        return
    if importlib.util.find_spec("picamera2") is None:
        apt = "sudo apt install -y python3-picamera2 --no-install-recommends"
        yield Finding("note", "picamera2", f"{board}: not installed", f"{apt}; the venv needs --system-site-packages")
    else:
        yield Finding("ok", "picamera2", board)


def _temperature(settings: Settings) -> Iterator[Finding]:
    degrees = _number(TEMPERATURE, lambda text: int(text) / 1000)
    if degrees is not None:
        hot = degrees >= 80
        mend = "a Raspberry Pi slows down from 80 C: add a heat sink or a fan" if hot else ""
        yield Finding("note" if hot else "ok", "temperature", f"{degrees:.0f} C", mend)


def _throttling(settings: Settings) -> Iterator[Finding]:
    bits = _number(THROTTLED, lambda text: int(text, 16))
    if bits is not None:
        low = bool(bits & 0x1_0001)  # bit 0: now, bit 16: since boot
        mend = "use the official power supply" if low else ""
        found = "under-voltage seen since boot" if low else ("throttled" if bits else "none")
        yield Finding("note" if bits else "ok", "throttling", found, mend)


def _disk(settings: Settings) -> Iterator[Finding]:
    free = shutil.disk_usage(Path.cwd()).free / 1e6
    state = "note" if free < 100 else "ok"
    yield Finding(
        state, "disk", f"{free:,.0f} MB free here", "make room for logs and events" if state == "note" else ""
    )


def _number(path: Path, parse: Callable[[str], Number]) -> Number | None:
    try:
        return parse(path.read_text().strip())
    except (OSError, ValueError):
        return None
