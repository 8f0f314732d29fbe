"""The Raspberry Pi camera, against an object with picamera2's calls."""

import sys
import threading
import time
import types
from typing import Any, ClassVar

import numpy as np
import pytest

from fer_edge.contract.errors import SourceError
from fer_edge.frames import SourceOptions, list_cameras, open_source, picamera2
from fer_edge.frames.picamera2 import Picamera2Camera

STRIDE_PADDING = 64


class FakeRequest:
    def __init__(self, camera: "FakePicamera2", number: int) -> None:
        self.camera, self.number = camera, number
        self.released = self.mapped = 0
        self.metadata: dict[str, Any] = {"SensorTimestamp": time.clock_gettime_ns(time.CLOCK_BOOTTIME) - 40_000_000}
        self.buffers = {}
        for stream in ("main", "lores"):
            width, height = camera.config[stream]["size"]
            self.buffers[stream] = np.full((height * 3 // 2, width + STRIDE_PADDING), number, np.uint8)
            self.buffers[stream][:, width:] = 255

    def get_metadata(self) -> dict[str, Any]:
        return self.metadata

    def release(self) -> None:
        assert self.mapped == 0, "released while its buffers are mapped"
        self.released += 1
        self.camera.calls.append(f"release {self.number}")


class FakeMappedArray:
    def __init__(self, request: FakeRequest, stream: str, reshape: bool = True, write: bool = True) -> None:
        assert reshape and not write
        self.request, self.array = request, request.buffers[stream]

    def __enter__(self) -> "FakeMappedArray":
        self.request.mapped += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.request.mapped -= 1


class FakeJob:
    def __init__(self, camera: "FakePicamera2") -> None:
        self.camera = camera

    def get_result(self, timeout: float | None = None) -> FakeRequest:
        assert timeout is not None
        if self.camera.broken:
            raise RuntimeError("camera frontend has timed out")
        # Impatient, since tests are; but never longer than it is asked to.
        if not self.camera.delivers.wait(min(timeout, 0.02)):
            raise TimeoutError
        self.camera.requests.append(FakeRequest(self.camera, len(self.camera.requests) + 1))
        return self.camera.requests[-1]


class FakePicamera2:
    opened: ClassVar[list["FakePicamera2"]] = []
    busy = False

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return [
            {"Model": "imx708", "Num": 0, "Id": "/base/soc/i2c0mux/i2c@1/imx708@1a"},
            {"Model": "C270", "Num": 1, "Id": "/base/scb/pcie@7d500000/pci@0,0/usb@0,0-1.2:1.0"},
        ]

    def __init__(self, number: int) -> None:
        if self.busy:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.calls = [f"open {number}"]
        self.delivers = threading.Event()
        self.delivers.set()
        self.broken = False
        self.requests: list[FakeRequest] = []
        self.opened.append(self)

    def create_video_configuration(self, **config: Any) -> dict[str, Any]:
        return config

    def configure(self, config: dict[str, Any]) -> None:
        if config["main"]["size"][0] > 4608:
            raise RuntimeError("Invalid camera configuration")
        self.calls.append("configure")
        self.config = config

    def camera_configuration(self) -> dict[str, Any]:
        return self.config

    def start(self) -> None:
        self.calls.append("start")

    def capture_request(self, wait: bool | None = None) -> FakeJob:
        assert wait is False
        self.calls.append("capture_request")
        return FakeJob(self)

    def cancel_all_and_flush(self) -> None:
        self.calls.append("cancel")

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakePicamera2]:
    module = types.ModuleType("picamera2")
    module.Picamera2, module.MappedArray = FakePicamera2, FakeMappedArray  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    monkeypatch.setattr(FakePicamera2, "opened", [])
    monkeypatch.setattr(FakePicamera2, "busy", False)
    return FakePicamera2


def test_both_luma_planes_are_the_cameras_own_memory(fake: type[FakePicamera2]) -> None:
    source = Picamera2Camera(0, SourceOptions())
    frame = source.read()
    assert frame is not None and frame.small is not None
    request = fake.opened[0].requests[0]
    assert np.shares_memory(frame.image, request.buffers["main"])
    assert np.shares_memory(frame.small, request.buffers["lores"])
    assert (frame.image.shape, frame.small.shape) == ((480, 640), (240, 320))
    assert (frame.image == 1).all() and (frame.small == 1).all()  # nothing of the rows' padding
    assert frame.source == "picamera2:0"


def test_a_request_is_held_until_the_next_read_and_everything_is_given_back(fake: type[FakePicamera2]) -> None:
    source = Picamera2Camera(0, SourceOptions())
    for _ in range(3):
        source.read()
        assert [r.released for r in fake.opened[0].requests[:-1]] == [1] * (len(fake.opened[0].requests) - 1)
        assert (fake.opened[0].requests[-1].released, fake.opened[0].requests[-1].mapped) == (0, 2)
    source.close()
    source.close()
    assert fake.opened[0].calls == [
        "open 0", "configure", "start",
        "capture_request", "release 1", "capture_request", "release 2", "capture_request", "release 3",
        "stop", "close",
    ]  # fmt: skip


def test_the_time_is_the_sensors(fake: type[FakePicamera2]) -> None:
    source = Picamera2Camera(0, SourceOptions())
    frame = source.read()
    assert frame is not None
    assert 0.04 <= time.monotonic() - frame.captured < 1 and 0.04 <= time.time() - frame.time < 1


@pytest.mark.parametrize("stamp", [None, 0, 2**62])
def test_a_missing_or_senseless_sensor_time_falls_back_to_now(
    fake: type[FakePicamera2], monkeypatch: pytest.MonkeyPatch, stamp: int | None
) -> None:
    monkeypatch.setattr(FakeRequest, "get_metadata", lambda self: {} if stamp is None else {"SensorTimestamp": stamp})
    before = time.monotonic()
    frame = Picamera2Camera(0, SourceOptions()).read()
    assert frame is not None and before <= frame.captured <= time.monotonic()


def test_a_frozen_sensor_is_no_new_frame_and_soon_a_fault(
    fake: type[FakePicamera2], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Picamera2Camera(0, SourceOptions())
    monkeypatch.setattr(FakeRequest, "get_metadata", lambda self: {"SensorTimestamp": 7_000_000_000})
    assert source.read() is not None
    with pytest.raises(TimeoutError):
        source.read()
    monkeypatch.setattr(picamera2, "STALL_S", 0.0)
    with pytest.raises(SourceError, match="no new frame"):
        source.read()
    source.close()
    assert all(request.released == 1 for request in fake.opened[0].requests)


def test_frames_that_nobody_read_are_counted_by_the_sensors_time(
    fake: type[FakePicamera2], monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps = iter([1_000_000_000, 1_033_333_000, 1_133_333_000, 1_166_700_000])
    monkeypatch.setattr(
        FakeRequest, "get_metadata", lambda self: {"SensorTimestamp": next(stamps), "FrameDuration": 33_333}
    )
    source = Picamera2Camera(0, SourceOptions())
    dropped = []
    for _ in range(4):
        source.read()
        dropped.append(source.dropped)
    assert dropped == [0, 0, 2, 2]


@pytest.mark.parametrize(
    ("size", "lores"),
    [((640, 480), (320, 240)), ((1280, 720), (320, 180)), ((480, 640), (180, 240)), ((200, 100), (200, 100))],
)
def test_the_small_stream_keeps_the_shape_and_never_exceeds_main(
    fake: type[FakePicamera2], size: tuple[int, int], lores: tuple[int, int]
) -> None:
    Picamera2Camera(0, SourceOptions(size=size))
    config = fake.opened[0].config
    assert config["main"] == {"size": size, "format": "YUV420"}
    assert config["lores"] == {"size": lores, "format": "YUV420"}


def test_frames_per_second_become_a_frame_duration(fake: type[FakePicamera2]) -> None:
    Picamera2Camera(0, SourceOptions(fps=15))
    Picamera2Camera(0, SourceOptions())
    assert [c.config["controls"] for c in fake.opened] == [{"FrameDurationLimits": (66667, 66667)}, {}]


def test_a_late_frame_times_out_without_losing_its_place_in_the_queue(fake: type[FakePicamera2]) -> None:
    source = Picamera2Camera(0, SourceOptions())
    camera = fake.opened[0]
    camera.delivers.clear()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            source.read()
    camera.delivers.set()
    assert source.read() is not None
    assert camera.calls.count("capture_request") == 1


def test_a_camera_that_stopped_is_reported_and_can_be_closed(
    fake: type[FakePicamera2], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Picamera2Camera(0, SourceOptions())
    fake.opened[0].delivers.clear()
    monkeypatch.setattr(picamera2, "STALL_S", 0.0)
    with pytest.raises(SourceError, match="ribbon cable"):
        source.read()
    source.close()
    assert fake.opened[0].calls[-3:] == ["cancel", "stop", "close"]


def test_a_stop_is_noticed_when_the_time_is_up_and_not_a_wait_later(
    fake: type[FakePicamera2], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def get_result(job: FakeJob, timeout: float) -> FakeRequest:
        waits.append(timeout)
        time.sleep(timeout)
        raise TimeoutError

    monkeypatch.setattr(picamera2, "STALL_S", 0.2)
    monkeypatch.setattr(picamera2, "READ_TIMEOUT_S", 0.15)
    monkeypatch.setattr(FakeJob, "get_result", get_result)
    source = Picamera2Camera(0, SourceOptions())
    with pytest.raises(TimeoutError):
        source.read()
    with pytest.raises(SourceError, match="ribbon cable"):
        source.read()
    assert waits[0] == 0.15 and waits[1] <= 0.05


def test_a_loop_that_rests_between_two_frames_is_no_fault_of_the_camera(
    fake: type[FakePicamera2], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picamera2, "STALL_S", 0.1)
    source = Picamera2Camera(0, SourceOptions())
    assert source.read() is not None
    time.sleep(0.15)
    fake.opened[0].delivers.clear()
    with pytest.raises(TimeoutError, match="yet"):
        source.read()
    fake.opened[0].delivers.set()
    assert source.read() is not None


def test_what_libcamera_raises_becomes_one_sentence(fake: type[FakePicamera2]) -> None:
    source = Picamera2Camera(0, SourceOptions())
    fake.opened[0].broken = True
    with pytest.raises(SourceError, match="frontend has timed out"):
        source.read()


@pytest.mark.parametrize("number", [1, 2])
def test_an_absent_camera_is_named_and_usb_cameras_are_left_to_v4l2(fake: type[FakePicamera2], number: int) -> None:
    with pytest.raises(SourceError, match=rf"no camera {number} .*there is picamera2:0"):
        Picamera2Camera(number, SourceOptions())


def test_a_busy_camera_is_named(fake: type[FakePicamera2], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakePicamera2, "busy", True)
    with pytest.raises(SourceError, match="stop the other program"):
        Picamera2Camera(0, SourceOptions())


def test_a_size_the_camera_refuses_frees_it_again(fake: type[FakePicamera2]) -> None:
    with pytest.raises(SourceError, match="10000x480"):
        Picamera2Camera(0, SourceOptions(size=(10000, 480)))
    assert fake.opened[0].calls[-1] == "close"


def test_it_is_listed_and_chosen_by_auto(fake: type[FakePicamera2], monkeypatch: pytest.MonkeyPatch) -> None:
    assert list_cameras()[0] == ("picamera2:0", "imx708")
    source = open_source("auto", SourceOptions())
    frame = source.read()
    assert frame is not None and frame.source == "picamera2:0"


def test_without_picamera2_the_apt_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(SourceError, match="sudo apt install -y python3-picamera2 --no-install-recommends") as error:
        open_source("picamera2", SourceOptions())
    assert "--system-site-packages" in str(error.value)
