"""YuNet's weights: where they are looked for, and how they are fetched."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from fer_edge.contract.digest import sha256
from fer_edge.contract.errors import DetectorError, UsageError
from fer_edge.contract.files import sha256_of, write_bytes

YUNET_FILE = "face_detection_yunet_2023mar.onnx"
YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
YUNET_BYTES = 232_589
YUNET_URL = "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/face_detection_yunet/" + YUNET_FILE
"""OpenCV Zoo's file (MIT licence), served through Git LFS."""

MACHINE_FOLDERS = (Path("/var/lib/fer-edge"), Path("/opt/fer-edge/share"))
"""Where weights lie that are for the whole machine: those of the service."""


_OTHER = "set XDG_DATA_HOME to a folder of yours"
_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EACCES: f"make it yours (fer-edge doctor says how), or {_OTHER}",
}


def data_folder() -> Path:
    """Where fetched files are kept: systemd's state directory, else the user's data directory."""
    state = os.environ.get("STATE_DIRECTORY")
    if state:
        return Path(state.split(":")[0])
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "fer-edge"


def find_yunet() -> Path | None:
    """The weights, if they are installed for this user or for the whole machine."""
    for folder in (data_folder(), *MACHINE_FOLDERS):
        path = folder / YUNET_FILE
        # An unreadable state directory of the service is as good as none.
        if os.access(path, os.R_OK):
            return path
    return None


def pull_yunet(url: str = YUNET_URL, *, timeout_s: float = 20.0, force: bool = False) -> Path:
    """Fetch YuNet's weights over https or from a file:// address, check them, install them atomically.

    Args:
        url: where the file is.
        timeout_s: longest wait for the server's next bytes, seconds.
        force: fetch again even where a good file is installed.

    Returns:
        The installed file.

    Raises:
        UsageError: the address is neither https:// nor file://.
        DetectorError: the file cannot be fetched, or is not the pinned one; nothing was installed.
    """
    if not url.startswith(("https://", "file://")):
        raise UsageError(f"{url} is not an https:// or file:// address")
    target = data_folder() / YUNET_FILE
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not force and target.is_file() and sha256_of(target) == YUNET_SHA256:
            return target
        data = _fetched(url, timeout_s)
        write_bytes(target, data)
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, _OTHER)
        raise DetectorError(
            f"YuNet's weights cannot be kept in {target.parent} ({error.strerror}); {advice}"
        ) from error
    return target


def _fetched(url: str, timeout_s: float) -> bytes:
    # TLS and HTTP cost a running loop 6 MB and 40 ms that it never uses.
    import urllib.request
    from http.client import HTTPException

    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            # One byte more than allowed is enough to know that it is too long.
            data = b""
            while len(data) <= YUNET_BYTES and (part := answer.read(YUNET_BYTES + 1 - len(data))):
                data += part
    except (OSError, HTTPException) as error:  # URLError and TimeoutError are OSErrors
        reason = getattr(error, "reason", error)
        raise DetectorError(
            f"YuNet's weights could not be fetched from {url} ({reason}); fetch the file elsewhere and run: "
            f"fer-edge model pull yunet --url file:///PATH/{YUNET_FILE}"
        ) from error
    if len(data) != YUNET_BYTES or sha256(data).hexdigest() != YUNET_SHA256:
        raise DetectorError(
            f"{url} did not give OpenCV Zoo's {YUNET_FILE} (size or sha256 differ); nothing was installed"
        )
    return data
