"""What works on this machine, what does not, and the command that mends it."""

from __future__ import annotations

import importlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from fer_edge.contract.errors import FerError, UsageError
from fer_edge.service import distribution
from fer_edge.service.config import Settings

WHEELS = {"numpy": "numpy", "opencv-python-headless": "cv2", "ai-edge-litert": "ai_edge_litert", "click": "click"}
"""The packages that a Raspberry Pi installs, and the modules by which Python knows them."""

HOT_C = 80.0
"""From here on a Raspberry Pi slows itself down (raspberrypi.com/documentation/computers/raspberry-pi.html)."""

LITTLE_MB = 100.0
"""Less free space than this is soon none."""

ANSWER_S = 3.0
"""How long a broker or camera on the network may take to answer, seconds."""

_PIP = f"{shlex.quote(sys.executable)} -m pip install"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        state: `ok`, `note` (works, could be better) or `stop` (fer-edge run cannot work).
        what: the part.
        found: what was found.
        mend: the command that mends it; empty only where the state is `ok`.
    """

    state: str
    what: str
    found: str
    mend: str = ""


def _ask(command: Sequence[str]) -> str:
    """What a command of the system says; empty where there is none or it fails."""
    try:
        asked = subprocess.run(command, check=False, capture_output=True, text=True, timeout=ANSWER_S, errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip()


def _list_cameras() -> list[tuple[str, str]]:
    from fer_edge.frames import list_cameras

    return list_cameras()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the doctor looks at.

    Attributes:
        root: stands for / where the system's own files are read.
        cameras: lists cameras, as `fer_edge.frames.list_cameras`.
        ask: runs a command and returns what it says, or nothing.
    """

    root: Path = Path("/")
    cameras: Callable[[], list[tuple[str, str]]] = _list_cameras
    ask: Callable[[Sequence[str]], str] = _ask


def examine(settings: Settings, around: Surroundings | None = None, *, path: Path | None = None) -> Iterator[Finding]:
    """Look at everything that `fer-edge run` with these settings depends on.

    Args:
        settings: what is to be run.
        around: the machine; None is this one.
        path: the settings file they come from, where there is one.
    """
    around = around or Surroundings()
    mend = "fer-edge config show" if path is None else f"fer-edge config check {shlex.quote(str(path))}"
    broken: list[str] = []
    unseen: list[str] = []
    for check in _CHECKS:
        what = check.__name__.strip("_")
        try:
            for finding in check(settings, around):
                if finding.what in WHEELS and finding.state == "stop":
                    broken.append(finding.what)
                yield finding
        except FerError as error:
            yield Finding("stop", what, str(error), mend)
        except Exception:  # what a package that is broken raises where it is used
            if not broken:
                raise
            unseen.append(what.replace("_", " "))
    if unseen:
        found = f"{', '.join(unseen)}: cannot be examined without {' and '.join(broken)}"
        yield Finding("note", "not examined", found, "mend that, then: fer-edge doctor")


def _python(settings: Settings, around: Surroundings) -> Iterator[Finding]:
    found = f"{platform.python_version()}, {'64' if sys.maxsize > 2**32 else '32'}-bit, {platform.machine()}"
    if sys.maxsize <= 2**32:
        yield Finding("stop", "python", found, "write the 64-bit Raspberry Pi OS to the card: rpi-imager")
    elif distribution.FIRST_PYTHON <= sys.version_info[:2] <= distribution.LAST_PYTHON:
        yield Finding("ok", "python", found)
    else:
        yield Finding("note", "python", f"{found}; 3.11 to 3.13 are tested", "make clean run PYTHON=python3.13")


def _wheels(settings: Settings, around: Surroundings) -> Iterator[Finding]:
    for package, module in WHEELS.items():
        try:
            importlib.import_module(module)
        except Exception as error:  # compiled parts that do not fit each other raise what they like
            missing = isinstance(error, ModuleNotFoundError) and error.name == module
            found = "not installed" if missing else f"cannot be imported ({error})"
            # tflite_runtime may still serve; whether it does, the model's line says.
            state = "note" if package == "ai-edge-litert" and missing else "stop"
            yield Finding(state, package, found, f"{_PIP} {'' if missing else '--force-reinstall '}{package}")
            continue
        try:
            yield Finding("ok", package, metadata.version(package))
        except metadata.PackageNotFoundError:
            # apt's python3-opencv and python3-numpy carry no PyPI name.
            yield Finding("ok", package, "installed outside pip")
    missing_extras = distribution.needed_extras(settings) - distribution.installed_extras()
    for extra in sorted(missing_extras):
        wanted = shlex.quote(distribution.requirement([extra]))
        yield Finding("stop", f"extra {extra}", "not installed, and the settings need it", f"{_PIP} {wanted}")


def _settings(settings: Settings, around: Surroundings) -> Iterator[Finding]:
    from fer_edge.service.check import check

    check(settings)
    yield Finding("ok", "settings", "usable")


def _model(settings: Settings, around: Surroundings) -> Iterator[Finding]:
    from fer_edge.expressions import litert
    from fer_edge.service import models

    path = models.serving(settings.model)
    try:
        classifier = litert.load(path)
    except FerError as error:
        another = "give another file: fer-edge model verify FILE"
        mend = f"{_PIP} ai-edge-litert" if isinstance(error, UsageError) else another
        yield Finding("stop", "model", str(error), mend)
        return
    yield Finding("ok", "tflite runtime", classifier.runtime)
    yield Finding(
        "ok", "model", f"{classifier.model.name}, golden inputs within {classifier.golden_steps} of 256 steps"
    )


def _detectors(settings: Settings, around: Surroundings) -> Iterator[Finding]:
    from fer_edge.contract.files import sha256_of
    from fer_edge.faces.haar import HaarDetector
    from fer_edge.faces.weights import YUNET_SHA256, find_yunet

    try:
        HaarDetector()
        yield Finding("ok", "haar", "cascade loads")
    except FerError as error:
        yield Finding("stop", "haar", str(error), f"{_PIP} 'opencv-python-headless<5'")
    weights = find_yunet()
    if weights is None:
        state = "stop" if settings.detector == "yunet" else "note"
        yield Finding(state, "yunet", "weights not installed; Haar serves", "fer-edge model pull yunet")
    elif sha256_of(weights) != YUNET_SHA256:
        yield Finding("stop", "yunet", f"{weights} is damaged", "fer-edge model pull yunet --force")
    else:
        yield Finding("ok", "yunet", str(weights))


def _camera_stack(settings: Settings, around: Surroundings) -> Iterator[Finding]:
    """picamera2, where this is a Raspberry Pi or the settings want it."""
    from fer_edge.frames import picamera2

    wanted = settings.source.startswith("picamera2")
    if not wanted and not picamera2.on_raspberry_pi(around.root):
        return
    try:
        picamera2.load()
        yield Finding("ok", "picamera2", "importable")
        return
    except FerError as error:
        found = str(error).partition("): ")[0] + ")" * ("): " in str(error))
    mend = "sudo apt install -y python3-picamera2 --no-install-recommends"
    if (around.root / "usr/lib/python3/dist-packages/picamera2").is_dir():
        venv = shlex.quote(sys.prefix)
        mend = f"python3 -m venv --clear --system-site-packages {venv} && {_PIP} {distribution.requirement(())}"
        if "VERSION_CODENAME=bookworm" in _text(around.root / "etc/os-release"):
            mend += " 'numpy<2' 'opencv-python-headless<4.12'"
    yield Finding("stop" if wanted else "note", "picamera2", found, mend)


def _cameras(settings: Settings, around: Surroundings) -> Iterator[Finding]:
    from fer_edge.frames.demo import picture_path

    source = _device(settings.source)
    cameras = around.cameras()
    for spec, description in cameras:
        if spec.startswith("/dev/") and not os.access(spec, os.R_OK | os.W_OK):
            mend = "sudo usermod -aG video $USER, then log in again"
            state = "stop" if spec == source else "note"
            yield Finding(state, "camera", f"{spec} may not be opened by this user", mend)
        else:
            yield Finding("ok", "camera", f"{spec}: {description}")
    if source != "demo" and (source != "auto" or cameras):
        return
    try:
        picture_path()
    except FerError as error:
        mend = f"{_PIP} --no-deps scikit-image, or plug a camera in: fer-edge cameras"
        yield Finding("stop", "source", f"no camera, and no demo: {error}", mend)
        return
    if source == "auto":
        yield Finding("note", "camera", "none found; the demo serves", "plug one in, then: fer-edge cameras")


def _source(settings: Settings, around: Surroundings) -> Iterator[Finding]:
    from fer_edge.contract.redaction import redact

    source = _device(settings.source)
    if source.startswith(("/dev/video", "picamera2")):
        # Without a number it is the first one.
        if not any(spec == source or spec.startswith(f"{source}:") for spec, _ in around.cameras()):
            ribbon = source.startswith("picamera2")
            mend = "check the ribbon cable, then: rpicam-hello --list-cameras" if ribbon else "plug it in, then: lsusb"
            yield Finding("stop", "source", f"{source} is not there", mend)
    elif source.startswith("/dev/v4l/"):
        if not Path(source).exists():
            yield Finding("stop", "source", f"{source} is not there", "plug it in, then: ls /dev/v4l/by-*")
    elif "://" in source and not source.startswith("udp"):
        host, port = _address(source, {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "http": 80, "https": 443})
        yield _reached("source", redact(source), host, port, "stop")


def _outputs(settings: Settings, around: Surroundings) -> Iterator[Finding]:
    from fer_edge.publish.broker import parse_broker

    for spec in settings.publish:
        kind, _, rest = spec.partition(":")
        if kind == "file":
            folder = Path(rest.partition("?")[0]).expanduser().absolute().parent
            yield _writable("output", folder)
        elif kind in ("mqtt", "mqtts") and "mqtt" in distribution.installed_extras():
            broker = parse_broker(spec)
            yield _reached("broker", f"{broker.host}:{broker.port}", broker.host, broker.port, "note")
        elif kind in ("http", "https"):
            host, port = _address(spec, {"http": 80, "https": 443})
            yield _reached("webhook", f"{host}:{port}", host, port, "note")
        elif kind == "gpio":
            chips = sorted((around.root / "dev").glob("gpiochip*"))
            if any(os.access(chip, os.R_OK | os.W_OK) for chip in chips):
                yield Finding("ok", "pins", ", ".join(chip.name for chip in chips))
            elif chips:
                mend = "sudo usermod -aG gpio $USER, then log in again"
                yield Finding("stop", "pins", f"{chips[0]} may not be opened by this user", mend)
            else:
                yield Finding("stop", "pins", "/dev/gpiochip* are not there", "use a board that has them: gpiodetect")


def _clock(settings: Settings, around: Surroundings) -> Iterator[Finding]:
    said = around.ask(["timedatectl", "show", "--property=NTPSynchronized", "--value"])
    if said == "yes" or (around.root / "run/systemd/timesync/synchronized").exists():
        yield Finding("ok", "clock", "synchronized")
    elif said == "no":
        # Certificates and the times in events are wrong until it is.
        yield Finding(
            "note", "clock", "not synchronized; events may carry a wrong time", "sudo timedatectl set-ntp true"
        )


def _board(settings: Settings, around: Surroundings) -> Iterator[Finding]:
    from fer_edge.health import read_health

    health = read_health(around.root)
    if health.temperature_c is not None:
        found = f"{health.temperature_c:.0f} C"
        if health.temperature_c >= HOT_C:
            mend = "add a heat sink or a fan, then: vcgencmd measure_temp"
            yield Finding("note", "temperature", f"{found}: the board slows down from {HOT_C:.0f} C", mend)
        else:
            yield Finding("ok", "temperature", found)
    if health.throttled is None:
        return
    if health.under_voltage:
        mend = "use the official power supply, restart, then: vcgencmd get_throttled"
        yield Finding("note", "power", "under-voltage seen since boot", mend)
    elif health.throttled:
        mend = "cool the board, restart, then: vcgencmd get_throttled"
        yield Finding("note", "power", f"slowed down since boot (flags {health.throttled:#x})", mend)
    else:
        yield Finding("ok", "power", "never throttled since boot")


def _state(settings: Settings, around: Surroundings) -> Iterator[Finding]:
    from fer_edge.faces.weights import data_folder

    folder = data_folder()
    while not folder.exists():
        folder = folder.parent
    writable = _writable("state", folder)
    # Installed models and the spool of a broker live there; a run without either needs no disk.
    yield writable if "mqtt" in distribution.needed_extras(settings) or writable.state == "ok" else Finding(
        "note", writable.what, writable.found, writable.mend
    )  # fmt: skip


def _writable(what: str, folder: Path) -> Finding:
    try:
        is_folder = folder.is_dir()
    except PermissionError:
        return Finding("stop", what, f"{folder} may not be seen by this user", "for a service's, ask as root: sudo")
    if not is_folder:
        return Finding("stop", what, f"{folder} is no folder", f"mkdir -p {shlex.quote(str(folder))}")
    if not os.access(folder, os.W_OK):
        mend = f"sudo chown $USER {shlex.quote(str(folder))}, or name another folder"
        return Finding("stop", what, f"{folder} may not be written by this user", mend)
    free_mb = shutil.disk_usage(folder).free / 1e6
    if free_mb < LITTLE_MB:
        return Finding(
            "note", what, f"{folder}: {free_mb:,.0f} MB free", "sudo apt clean; sudo journalctl --vacuum-size=50M"
        )
    return Finding("ok", what, f"{folder}: {free_mb:,.0f} MB free")


def _reached(what: str, name: str, host: str, port: int, otherwise: str) -> Finding:
    import socket

    try:
        host.encode("idna")
    except UnicodeError:
        host = ""
    if not host:
        return Finding("stop", what, "the address names no usable host and port", "write it as SCHEME://HOST[:PORT]/…")
    try:
        with socket.create_connection((host, port), ANSWER_S):
            return Finding("ok", what, f"{name} answers")
    except OSError as error:
        # A service waits for its broker; a person wants to know.
        return Finding(
            otherwise,
            what,
            f"{name} does not answer ({error.strerror or error})",
            f"start it there, then: nc -vz {host} {port}",
        )


def _device(source: str) -> str:
    return f"/dev/video{source}" if source.isdecimal() else source


def _address(url: str, ports: dict[str, int]) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.port or ports.get(parts.scheme, 0)
    except ValueError:
        # Not its text: what looks like a port may be half of a password.
        return "", 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


_CHECKS = (
    _python,
    _wheels,
    _settings,
    _model,
    _detectors,
    _camera_stack,
    _cameras,
    _source,
    _outputs,
    _state,
    _clock,
    _board,
)
