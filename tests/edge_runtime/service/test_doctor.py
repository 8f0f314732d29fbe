"""The doctor finds what is wrong with machines that are folders, and names what mends it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fer_edge.cli import main
from fer_edge.contract.errors import SourceError
from fer_edge.contract.shipped import shipped_model
from fer_edge.faces.weights import YUNET_FILE
from fer_edge.frames import demo, picamera2
from fer_edge.health import TEMPERATURE, THROTTLED
from fer_edge.service import distribution
from fer_edge.service.config import Settings
from fer_edge.service.doctor import Finding, Surroundings, examine


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state folder, so that nothing of this machine's user counts."""
    folder = tmp_path / "state"
    folder.mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def findings(
    root: Path, *, cameras: Sequence[tuple[str, str]] = (), says: str = "", **settings: Any
) -> dict[str, Finding]:
    """What the doctor finds, by the part; of several of one part the worst."""
    around = Surroundings(root=root, cameras=lambda: list(cameras), ask=lambda command: says)
    worst: dict[str, Finding] = {}
    for found in examine(Settings(**settings), around):
        assert found.state in ("ok", "note", "stop")
        assert bool(found.mend) == (found.state != "ok"), found
        if found.what not in worst or "ok note stop".index(found.state) > "ok note stop".index(worst[found.what].state):
            worst[found.what] = found
    return worst


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_this_machine_can_run_the_shipped_model(root: Path) -> None:
    found = findings(root, source=str(shipped_model()))
    assert {what for what, finding in found.items() if finding.state == "stop"} == set()
    assert {"python", "numpy", "opencv-python-headless", "ai-edge-litert", "click", "model", "haar"} <= found.keys()


def test_missing_and_broken_wheels_stop_the_job(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = __import__("importlib").import_module

    def imported(name: str) -> Any:
        if name == "click":
            raise ModuleNotFoundError("No module named 'click'", name="click")
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file")
        return real(name)

    monkeypatch.setattr("importlib.import_module", imported)
    found = findings(root)
    assert (found["click"].state, found["click"].found) == ("stop", "not installed")
    assert found["click"].mend == f"{sys.executable} -m pip install click"
    assert found["opencv-python-headless"].state == "stop"
    assert "libGL.so.1" in found["opencv-python-headless"].found
    assert "--force-reinstall opencv-python-headless" in found["opencv-python-headless"].mend


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise ImportError('numpy._core.multiarray failed to import')", "numpy._core.multiarray failed to import"),
        ("raise AttributeError('_ARRAY_API not found')", "_ARRAY_API not found"),
        (None, "not installed"),
    ],
)
def test_a_numpy_that_cannot_be_imported_is_a_line_and_no_traceback(
    tmp_path: Path, source: str | None, said: str
) -> None:
    # A module that finds itself first on the path stands for the one in site-packages.
    (tmp_path / "numpy.py").write_text(source or "raise ModuleNotFoundError(\"No module named 'numpy'\", name='numpy')")
    done = subprocess.run(
        [sys.executable, "-m", "fer_edge", "doctor"], env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr + done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("STOP  numpy ")]
    assert said in line
    # What can be examined all the same is.
    assert "ok    python " in done.stdout and "ok    click " in done.stdout
    assert "cannot be examined without numpy" in done.stdout


def test_a_fault_of_the_doctors_own_is_not_hidden(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(spec: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("fer_edge.service.check.check_source", wrong)
    with pytest.raises(ZeroDivisionError):
        findings(root)


@pytest.mark.parametrize(
    ("version", "state"), [((3, 10, 0), "note"), ((3, 11, 2), "ok"), ((3, 13, 9), "ok"), ((3, 14, 0), "note")]
)
def test_python(root: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], state: str) -> None:
    monkeypatch.setattr("fer_edge.service.doctor.sys.version_info", version)
    assert findings(root)["python"].state == state


def test_32_bit_systems_stop_the_job(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_edge.service.doctor.sys.maxsize", 2**31 - 1)
    found = findings(root)["python"]
    assert found.state == "stop"
    assert "64-bit" in found.mend


def test_extras_that_the_settings_need(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "EXTRAS", {"mqtt": "fer_edge_has_no_such_module"})
    found = findings(root, publish=["mqtt://127.0.0.1:9/fer"])
    assert found["extra mqtt"].state == "stop"
    assert "[mqtt]" in found["extra mqtt"].mend
    assert "extra mqtt" not in findings(root, publish=["-"])


def test_a_damaged_model_stops_the_job(root: Path, tmp_path: Path) -> None:
    damaged = bytearray(shipped_model().read_bytes())
    damaged[5000] ^= 1
    path = tmp_path / "damaged.tflite"
    path.write_bytes(damaged)
    found = findings(root, model=str(path))
    assert found["model"].state == "stop"
    assert "damaged.tflite" in found["model"].found


@pytest.mark.parametrize(("detector", "state"), [("auto", "note"), ("haar", "note"), ("yunet", "stop")])
def test_missing_weights(root: Path, monkeypatch: pytest.MonkeyPatch, detector: str, state: str) -> None:
    monkeypatch.setattr("fer_edge.faces.weights.find_yunet", lambda: None)
    found = findings(root, detector=detector)["yunet"]
    assert (found.state, found.mend) == (state, "fer-edge model pull yunet")


def test_damaged_weights_stop_the_job(root: Path, state: Path) -> None:
    (state / YUNET_FILE).write_bytes(b"x")
    found = findings(root)["yunet"]
    assert (found.state, found.mend) == ("stop", "fer-edge model pull yunet --force")


def no_picamera2() -> Any:
    raise SourceError("picamera2 cannot be imported (No module named 'picamera2'): install it")


def test_picamera2_missing_on_a_raspberry_pi(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picamera2, "load", no_picamera2)
    assert "picamera2" not in findings(root)
    put(root / "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    found = findings(root)["picamera2"]
    assert found.state == "note"
    assert found.mend == "sudo apt install -y python3-picamera2 --no-install-recommends"
    assert findings(root, source="picamera2")["picamera2"].state == "stop"


@pytest.mark.parametrize(("codename", "pinned"), [("bookworm", True), ("trixie", False)])
def test_picamera2_that_the_venv_does_not_see(
    root: Path, monkeypatch: pytest.MonkeyPatch, codename: str, pinned: bool
) -> None:
    monkeypatch.setattr(picamera2, "load", no_picamera2)
    put(root / "proc/device-tree/model", "Raspberry Pi 4 Model B\0")
    put(root / "etc/os-release", f"ID=debian\nVERSION_CODENAME={codename}\n")
    (root / "usr/lib/python3/dist-packages/picamera2").mkdir(parents=True)
    mend = findings(root)["picamera2"].mend
    assert f"--system-site-packages {sys.prefix}" in mend
    assert ("'numpy<2' 'opencv-python-headless<4.12'" in mend) == pinned


def test_cameras_that_may_not_be_opened(root: Path) -> None:
    there = [("/dev/video7", "a camera of somebody else")]
    assert findings(root, cameras=there)["camera"].state == "note"
    found = findings(root, cameras=there, source="7")["camera"]
    assert found.state == "stop"
    assert found.mend == "sudo usermod -aG video $USER, then log in again"


@pytest.mark.parametrize("source", ["/dev/video7", "7", "picamera2", "picamera2:1", "/dev/v4l/by-id/usb-x"])
def test_cameras_that_are_not_there(root: Path, source: str) -> None:
    assert findings(root, source=source)["source"].state == "stop"
    other = [("/dev/video3", "another one"), ("picamera2:0", "imx708")]
    assert ("source" in findings(root, source=source, cameras=other)) == (source != "picamera2")


def test_cameras_that_are_there(root: Path) -> None:
    for source in ("auto", "picamera2", "picamera2:0"):
        found = findings(root, source=source, cameras=[("picamera2:0", "imx708")])
        assert found["camera"].state == "ok"
        assert "source" not in found


def test_neither_camera_nor_demo_stops_the_job(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> Path:
        raise SourceError("no picture")

    monkeypatch.setattr(demo, "picture_path", absent)
    for source in ("auto", "demo"):
        assert findings(root, source=source)["source"].state == "stop"
    assert "source" not in findings(root, source="auto", cameras=[("picamera2:0", "imx708")])


def test_no_camera_is_worth_a_note_where_the_demo_serves(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "picture_path", lambda: Path("astronaut.png"))
    assert findings(root)["camera"].state == "note"


@pytest.fixture
def listener() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_brokers_and_streams(root: Path, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    spec, stream = f"mqtt://127.0.0.1:{port}/fer/x", f"rtsp://me:secret@127.0.0.1:{port}/x"
    found = findings(root, publish=[spec], source=stream)
    assert (found["broker"].state, found["source"].state) == ("ok", "ok")
    listener.close()
    found = findings(root, publish=[spec], source=stream)
    # Events wait for a broker; frames wait for nobody.
    assert (found["broker"].state, found["source"].state) == ("note", "stop")
    assert f"127.0.0.1 {port}" in found["broker"].mend
    assert "secret" not in str(found)


@pytest.mark.parametrize("address", ["rtsp://admin:pa#ss@cam/1", "https://h:99999/x", "https://a..b/x", "http://:80/"])
def test_an_address_without_a_usable_host_is_a_line_that_shows_no_password(root: Path, address: str) -> None:
    found = findings(root, source=address)["source"]
    assert (found.state, found.found) == ("stop", "the address names no usable host and port")
    assert "pa" not in found.found.split() and "admin" not in str(found)


def test_a_folder_that_is_not_there(root: Path, tmp_path: Path) -> None:
    assert findings(root, publish=[f"file:{tmp_path}/x.jsonl?max_mb=1"])["output"].state == "ok"
    found = findings(root, publish=[f"file:{tmp_path}/absent/x.jsonl"])["output"]
    assert (found.state, found.mend) == ("stop", f"mkdir -p {tmp_path}/absent")


def test_a_folder_that_may_not_be_written(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path and real(path, mode))
    found = findings(root, publish=[f"file:{tmp_path}/x.jsonl"])["output"]
    assert found.state == "stop"
    assert found.mend.startswith("sudo chown $USER ")


def test_a_full_disk(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 99e6}))
    found = findings(root)["state"]
    assert found.state == "note"
    assert "99 MB free" in found.found


def test_pins(root: Path) -> None:
    gpio = ["gpio:17=happy"]
    assert findings(root, publish=gpio)["pins"].state == "stop"
    put(root / "dev/gpiochip0", "")
    assert findings(root, publish=gpio)["pins"].state == "ok"
    assert "pins" not in findings(root)


@pytest.mark.parametrize(("says", "state"), [("yes", "ok"), ("no", "note")])
def test_clock(root: Path, says: str, state: str) -> None:
    assert findings(root, says=says)["clock"].state == state
    put(root / "run/systemd/timesync/synchronized", "")
    assert findings(root, says=says)["clock"].state == "ok"


def test_a_machine_without_systemd_says_nothing_of_its_clock(root: Path) -> None:
    assert "clock" not in findings(root)


@pytest.mark.parametrize(("millidegrees", "state"), [("79999", "ok"), ("80000", "note")])
def test_temperature(root: Path, millidegrees: str, state: str) -> None:
    put(root / TEMPERATURE, millidegrees)
    assert findings(root)["temperature"].state == state


@pytest.mark.parametrize(
    ("flags", "state", "word"), [("0", "ok", "never"), ("50005", "note", "under-voltage"), ("20000", "note", "slowed")]
)
def test_power(root: Path, flags: str, state: str, word: str) -> None:
    put(root / THROTTLED, flags)
    found = findings(root)["power"]
    assert found.state == state
    assert word in found.found


@pytest.mark.parametrize(("source", "code"), [("demo", 0), ("/dev/video99", 1)])
def test_command_ends_with_1_where_something_stops_the_job(tmp_path: Path, source: str, code: int) -> None:
    if source == "demo":
        try:
            demo.picture_path()
        except SourceError as error:
            pytest.skip(str(error))
    path = tmp_path / "settings.toml"
    path.write_text(f'source = "{source}"\n')
    done = CliRunner().invoke(main, ["doctor", "--config", str(path)])
    assert done.exit_code == code, done.output
    assert ("STOP" in done.output) == bool(code)


def test_a_setting_that_cannot_be_used_leads_to_its_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('source = "demo"\npublish = ["mqtt://broker"]\n')
    done = CliRunner().invoke(main, ["doctor", "--config", str(path)])
    assert f"-> fer-edge config check {path}" in done.output, done.output
