"""Camera faults: all noticed within five seconds, all healed; a dark room is none of them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fer_bench.process import end
from fer_bench.soak import attempts
from fer_bench.soak.simulated import FAULTS, SimulatedCapture, noise
from fer_edge.contract.errors import FerError

FULL = 20
"""Of each fault."""

LIMIT_S = 30.0
"""What takes longer is given up: on a machine that does nothing else it takes a second or two."""

DARK_S = 6.0
"""How long it is dark: longer than any time after which a fault is noticed."""

_SIGNS = {
    "gone": "stopped delivering frames",
    "frozen": "has repeated one frame",
    "garbage": "stopped delivering frames",
    "resized": "changed its frames to 80x60",
    "hang": "has hung inside its driver",
}


def camera_faults(scale: float) -> dict[str, Any]:
    """Break the camera of a real `fer-edge run` in each way, and start it again where it ends, as systemd does."""
    rounds = attempts(FULL, scale)
    seen: dict[str, dict[str, Any]] = {fault: {"noticed_s": [], "recovered_s": []} for fault in FAULTS}
    with tempfile.TemporaryDirectory(prefix="fer-bench-") as name, _Service(Path(name)) as service:
        false_alarms = service.dark_room()
        for _ in range(rounds):
            for fault, times in seen.items():
                noticed, recovered = service.suffer(fault)
                times["noticed_s"].append(noticed)
                times["recovered_s"].append(recovered)
                if recovered is None:
                    service.start_anew()
    return {
        "faults_made": rounds * len(FAULTS),
        "recovered": sum(time_s is not None for times in seen.values() for time_s in times["recovered_s"]),
        "slowest_noticed_s": max(max(times["noticed_s"]) for times in seen.values()),
        "slowest_recovered_s": max(time_s or 0.0 for times in seen.values() for time_s in times["recovered_s"]),
        "restarts": service.restarts,
        "dark_room_alarms": false_alarms,
        "faults": seen,
    }


class _Service:
    """`fer-edge run` on a simulated camera, its log and its events."""

    def __init__(self, folder: Path) -> None:
        self._fault, self._events = folder / "fault", folder / "events.jsonl"
        self._fault.write_text("")
        self.restarts = 0
        self._log: list[str] = []
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> _Service:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            end(self._child)

    def dark_room(self) -> int:
        """Lines in the log while it is dark."""
        before = len(self._log)
        self._set("dark")
        time.sleep(DARK_S)
        self._set("")
        return len(self._log) - before

    def suffer(self, fault: str) -> tuple[float, float | None]:
        """Seconds from the fault to its notice (for a hang: to the end of the process), and from there to a frame.

        What is not seen within `LIMIT_S` counts as noticed after that, and as not recovered.
        """
        child = self._child
        assert child is not None
        self._happens(self._frame_after(self._frames()))
        heard = len(self._log)
        began = self._set(fault)

        def is_noticed() -> bool:
            said = any(_SIGNS[fault] in line for line in self._log[heard:])
            # systemd starts again what ended with a failure.
            return said and (child.poll() not in (None, 0) if fault == "hang" else child.poll() is None)

        is_seen = self._happens(is_noticed)
        noticed = time.monotonic()
        frames = self._frames()
        self._set("")
        if fault == "hang" and is_seen:
            self.restarts += 1
            self._start()
        is_back = is_seen and self._happens(self._frame_after(frames))
        return round(noticed - began, 2), round(time.monotonic() - noticed, 2) if is_back else None

    def start_anew(self) -> None:
        """End what did not recover, so that the next fault meets a camera that works."""
        if self._child is not None:
            end(self._child)
        self._start()

    def _start(self) -> None:
        command = [
            sys.executable, "-m", "fer_bench.soak.camera", str(self._fault), "run", "--source", "/dev/video0",
            "--detector", "haar", "--every-frame", "--publish", f"file:{self._events}",
        ]  # fmt: skip
        environment = {key: value for key, value in os.environ.items() if not key.startswith("FER_EDGE_")}
        self._child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        threading.Thread(target=self._listen, args=(self._child,), daemon=True).start()
        if not self._happens(self._frame_after(self._frames())):
            raise FerError(f"fer-edge run showed no frame within {LIMIT_S:g} s; it said {self._log[-3:]}")

    def _listen(self, child: subprocess.Popen[str]) -> None:
        assert child.stderr is not None
        with contextlib.suppress(ValueError):  # closed at the end
            self._log.extend(line for line in child.stderr)

    def _set(self, fault: str) -> float:
        # Renamed into its place: the camera must never read half a word.
        new = self._fault.with_suffix(".new")
        new.write_text(fault)
        new.replace(self._fault)
        return time.monotonic()

    def _frames(self) -> int:
        """Bytes of events so far, in the file and in those it was rotated to."""
        return sum(path.stat().st_size for path in self._events.parent.glob("events.jsonl*"))

    def _frame_after(self, frames: int) -> Callable[[], bool]:
        return lambda: self._frames() > frames

    def _happens(self, condition: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True


@contextlib.contextmanager
def simulated_camera(path: Path) -> Iterator[None]:
    """Let every V4L2 camera of this process be a simulated one whose fault stands in the file `path`."""
    import cv2

    pictures = noise()
    original = cv2.VideoCapture
    cv2.VideoCapture = lambda *_: SimulatedCapture(pictures, path.read_text)  # type: ignore[assignment,misc]
    try:
        yield
    finally:
        cv2.VideoCapture = original  # type: ignore[misc]


def main() -> None:
    """`fer-edge ARGUMENTS` with a simulated camera: the fault's file, then the arguments."""
    from fer_edge.cli import main as command

    with simulated_camera(Path(sys.argv[1])):
        command(sys.argv[2:], prog_name="fer-edge")


if __name__ == "__main__":
    main()
