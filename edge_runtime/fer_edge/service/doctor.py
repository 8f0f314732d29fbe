"""What works on this machine, what does not, and the command that mends it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from fer_edge.contract.errors import FerError
from fer_edge.contract.files import sha256_of
from fer_edge.expressions import litert
from fer_edge.faces.weights import YUNET_SHA256, find_yunet
from fer_edge.frames import list_cameras, picamera2
from fer_edge.health import read_health
from fer_edge.service.config import Settings


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
    for check in (_model, _haar, _yunet, _cameras, _picamera2, _board, _disk):
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
    path = litert.model_path(settings.model)
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
    if not picamera2.on_raspberry_pi():
        return
    if importlib.util.find_spec("picamera2") is None:
        yield Finding("note", "picamera2", "not installed", picamera2.INSTALL)
    else:
        yield Finding("ok", "picamera2", "importable")


def _board(settings: Settings) -> Iterator[Finding]:
    health = read_health()
    if health.temperature_c is not None:
        hot = health.temperature_c >= 80
        mend = "a Raspberry Pi slows down from 80 C: add a heat sink or a fan" if hot else ""
        yield Finding("note" if hot else "ok", "temperature", f"{health.temperature_c:.0f} C", mend)
    if health.throttled is not None:
        found = "under-voltage seen since boot" if health.under_voltage else f"flags {health.throttled:#x}"
        mend = "use the official power supply" if health.under_voltage else ""
        yield Finding("note" if health.throttled else "ok", "throttling", found, mend)


def _disk(settings: Settings) -> Iterator[Finding]:
    free = shutil.disk_usage(Path.cwd()).free / 1e6
    state = "note" if free < 100 else "ok"
    yield Finding(
        state, "disk", f"{free:,.0f} MB free here", "make room for logs and events" if state == "note" else ""
    )
