"""The Raspberry Pi camera through picamera2: luma planes in place, no copy."""

from __future__ import annotations

import logging
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import SourceError
from fer_edge.frames.options import SourceOptions
from fer_edge.records import Frame

READ_TIMEOUT_S = 0.8
"""How long one `read` waits for a new frame."""

STALL_S = 3.0
"""How long the camera may let readers wait before it counts as gone, in seconds beyond a frame's own time."""

_OLDEST_STAMP_S = 10.0

INSTALL = (
    "sudo apt install -y python3-picamera2 --no-install-recommends, and make the virtual environment with "
    "--system-site-packages so that it sees it"
)

_log = logging.getLogger(__name__)


def on_raspberry_pi(root: Path = Path("/")) -> bool:
    """Whether this machine says it is a Raspberry Pi."""
    try:
        return (root / "proc/device-tree/model").read_bytes().startswith(b"Raspberry Pi")
    except OSError:
        return False


def load() -> Any:
    """Import picamera2, which only apt installs.

    Raises:
        SourceError: it is missing, or does not fit what is installed beside it.
    """
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:WARN")
    try:
        import picamera2
    except ImportError as error:
        raise SourceError(f"picamera2 cannot be imported ({error}): {INSTALL}") from error
    except Exception as error:
        # apt's simplejpeg against a numpy of another major version raises ValueError.
        raise SourceError(
            f"picamera2 cannot be imported ({error}): its compiled parts need the numpy that apt installs, "
            "on bookworm numpy<2"
        ) from error
    return picamera2


def cameras() -> list[tuple[str, str]]:
    """Spec and description of each camera on the Pi's own connectors; USB cameras are V4L2's.

    Raises:
        SourceError: picamera2 is missing or fails.
    """
    return [(f"picamera2:{number}", str(info.get("Model", "camera"))) for number, info in _attached(load())]


def _attached(picamera2: Any) -> list[tuple[int, dict[str, Any]]]:
    try:
        infos = picamera2.Picamera2.global_camera_info()
    except Exception as error:
        raise SourceError(f"libcamera cannot list its cameras ({error}); try rpicam-hello --list-cameras") from error
    return [(i, info) for i, info in enumerate(infos) if "/usb" not in info.get("Id", "")]


class Picamera2Camera:
    """`image` is the luma of the main stream, `small` that of the low-resolution stream of the same view.

    Both are views of the camera's own buffers: the request that holds them goes back to the camera at
    the next `read`, or at `close`. A frame with the sensor's time stamp of the one before is the same frame,
    and is not handed on.

    Attributes:
        dropped: frames that the camera exposed and nobody read.
    """

    def __init__(self, number: int, options: SourceOptions) -> None:
        """Open camera `number` (from 0) and start it.

        Raises:
            SourceError: picamera2 is missing, or the camera is absent, busy, or refuses the size.
        """
        self.name = f"picamera2:{number}"
        self._module = load()
        attached = _attached(self._module)
        if number not in [index for index, _ in attached]:
            others = ", ".join(f"picamera2:{index}" for index, _ in attached)
            raise SourceError(
                f"there is no camera {number} on this Raspberry Pi's camera connectors"
                + (f" (there is {others})" if others else "; check the ribbon cable and restart")
            )
        self._request: Any = None
        self._job: Any = None
        self._mapped = ExitStack()
        self.dropped = 0
        self._stamp_ns: int | None = None
        self._frame_s = 1.0 / options.fps if options.fps else 0.0
        self._waiting_since: float | None = None
        try:
            self._camera = self._module.Picamera2(number)
        except Exception as error:
            raise SourceError(
                f"camera {self.name} cannot be opened ({error}); stop the other program that uses it, such as "
                "rpicam-hello or a second fer-edge"
            ) from error
        try:
            self._start(options)
        except Exception as error:
            self.close()
            width, height = options.camera_size
            raise SourceError(
                f"camera {self.name} cannot be started at {width}x{height} ({error}); try --size 640x480"
            ) from error

    def _start(self, options: SourceOptions) -> None:
        width, height = options.camera_size
        # One scale for both axes: the detector has to see faces as they are.
        scale = min(options.lores[0] / width, options.lores[1] / height, 1.0)
        lores = tuple(max(2, 2 * round(side * scale / 2)) for side in (width, height))
        controls: dict[str, Any] = {}
        if options.fps:
            frame_us = round(1e6 / options.fps)
            controls["FrameDurationLimits"] = (frame_us, frame_us)
        self._camera.configure(
            self._camera.create_video_configuration(
                main={"size": (width, height), "format": "YUV420"},
                lores={"size": lores, "format": "YUV420"},
                controls=controls,
            )
        )
        given = self._camera.camera_configuration()
        self._main_size: tuple[int, int] = tuple(given["main"]["size"])
        self._lores_size: tuple[int, int] = tuple(given["lores"]["size"])
        if self._main_size != (width, height):
            _log.info("%s delivers %dx%d instead of %dx%d", self.name, *self._main_size, width, height)
        self._camera.start()

    def read(self) -> Frame | None:
        """The newest frame; never None.

        Raises:
            TimeoutError: none arrived within `READ_TIMEOUT_S`.
            SourceError: the camera stopped.
        """
        self._release()
        # From the first read without an answer: a loop that rests between two frames is no fault of the camera.
        since = self._waiting_since = self._waiting_since or time.monotonic()
        left_s = since + STALL_S + self._frame_s - time.monotonic()
        try:
            # A job that timed out is still queued, and would take the next frame for nobody.
            self._job = self._job or self._camera.capture_request(wait=False)
            request = self._job.get_result(timeout=min(READ_TIMEOUT_S, max(left_s, 0.0)))
            self._job, self._request = None, request
            began = time.monotonic()
            metadata = request.get_metadata()
            if not self._is_new(metadata):
                raise TimeoutError
            self._waiting_since = None
            age = _age_s(self._stamp_ns)
            image = self._luma("main", self._main_size)
            small = self._luma("lores", self._lores_size)
            now = time.monotonic()
        except TimeoutError:
            if time.monotonic() - since >= STALL_S + self._frame_s:
                raise SourceError(
                    f"camera {self.name} has delivered no new frame for {STALL_S:g} s; check the ribbon cable"
                ) from None
            raise TimeoutError(f"no new frame from {self.name} yet") from None
        except Exception as error:
            self._job = None
            raise SourceError(f"camera {self.name} failed ({error}); check the ribbon cable") from error
        return Frame(
            image=image,
            time=time.time() - age - (now - began),
            captured=began - age,
            source=self.name,
            small=small,
            capture_ms=1e3 * (now - began),
        )

    def close(self) -> None:
        """Give the last frame back and the camera free; may be called twice."""
        self._release()
        camera, self._camera = getattr(self, "_camera", None), None
        if camera is None:
            return
        if self._job is not None:
            # stop() waits in the same queue, behind the job that never ends.
            camera.cancel_all_and_flush()
            self._job = None
        camera.stop()
        camera.close()

    def _is_new(self, metadata: dict[str, Any]) -> bool:
        before: int | None = self._stamp_ns
        stamp: int | None = metadata.get("SensorTimestamp") or None
        self._stamp_ns = stamp
        if before is None or stamp is None:
            return True
        duration_us = metadata.get("FrameDuration")
        if duration_us:
            self.dropped += max(0, round((stamp - before) / (1e3 * duration_us)) - 1)
        return stamp != before

    def _luma(self, stream: str, size: tuple[int, int]) -> NDArray[np.uint8]:
        mapped = self._mapped.enter_context(self._module.MappedArray(self._request, stream, write=False))
        # YUV420: height rows of luma, then the colours; rows are padded to the stride.
        plane: NDArray[np.uint8] = mapped.array[: size[1], : size[0]]
        return plane

    def _release(self) -> None:
        if self._request is not None:
            self._mapped.close()
            self._request.release()
            self._request = None


def _age_s(stamp_ns: int | None) -> float:
    """How long ago the sensor saw the frame; its clock also runs while the machine sleeps."""
    if stamp_ns is None:
        return 0.0
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - stamp_ns / 1e9
    return age if 0.0 <= age < _OLDEST_STAMP_S else 0.0
