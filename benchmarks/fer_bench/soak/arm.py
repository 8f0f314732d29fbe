"""The runtime on 64-bit Arm, under emulation: the real wheels, the golden inputs, clips through the loop."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_bench.soak import debian
from fer_edge.contract.errors import FerError, SourceError
from fer_edge.frames import SourceOptions
from fer_edge.frames.demo import Demo

SUITE, PYTHON = "bookworm", (3, 11)
"""Raspberry Pi OS' release and the Python in it."""

EMULATOR, EMULATOR_SUITE, FIRST_EMULATOR = "qemu-aarch64", "trixie", 10
"""QEMU 7.2 of bookworm ends with a segmentation fault in LiteRT's kernels."""

PROCESSOR = "cortex-a72"
"""That of a Raspberry Pi 4; QEMU's default one has instructions that no Pi has."""

FRAMES = 40
"""Frames of each clip at full scale: emulation takes a second or so for each."""

SIZE = (320, 240)
_FPS = 10.0


def arm(scale: float = 1.0) -> dict[str, Any]:
    """Install fer-edge's wheels for 64-bit Arm and compare what it says with what it says here.

    Args:
        scale: share of `FRAMES` to look at, 0 to 1; at least 3 frames.

    Returns:
        `frames` and `faces` looked at; `labels_different`, over faces, smoothed labels and faces found by one
        side alone; `largest_step` between probabilities, in 1/256; `golden_steps` from what the model file
        promises on either side; `clips`, `packages`, `emulator`, `python`.

    Raises:
        UsageError: no Arm system can be made here (no network, no mmdebstrap).
        FerError: fer-edge fails on it.
    """
    frames = max(3, round(FRAMES * scale))
    with tempfile.TemporaryDirectory(prefix="fer-bench-arm-") as name:
        folder = Path(name)
        command, facts = _arm_python(folder)
        clips = _clips(folder, frames)
        sides = {"here": [sys.executable], "arm": command}
        golden = {side: _golden_steps(python) for side, python in sides.items()}
        figures = {"frames": 0, "faces": 0, "labels_different": 0, "largest_step": 0}
        for clip in clips:
            here, there = (
                _events(python, clip, folder / f"{clip.stem}-{side}.jsonl") for side, python in sides.items()
            )
            for key, value in compare(here, there).items():
                figures[key] = max(figures[key], value) if key == "largest_step" else figures[key] + value
    return {**figures, "golden_steps": golden, "clips": [clip.stem for clip in clips], **facts}


def compare(here: Sequence[dict[str, Any]], there: Sequence[dict[str, Any]]) -> dict[str, int]:
    """What two runs over the same frames say differently.

    Args:
        here, there: events of every frame, in order.

    Returns:
        `frames`, `faces` (of the first run), `labels_different` and `largest_step`, as `arm`.

    Raises:
        FerError: one run saw fewer frames.
    """
    if len(here) != len(there):
        raise FerError(f"{len(here)} frames became events on one side and {len(there)} on the other; nothing compares")
    different, step = 0, 0.0
    for one, other in zip(here, there, strict=True):
        faces = {face["id"]: face for face in one["faces"]}
        others = {face["id"]: face for face in other["faces"]}
        different += len(faces.keys() ^ others.keys())
        for number in faces.keys() & others.keys():
            a, b = faces[number], others[number]
            different += any(a[key] != b[key] for key in ("expression", "stable"))
            step = max(step, *(abs(p - b["probabilities"][label]) for label, p in a["probabilities"].items()))
    return {
        "frames": len(here),
        "faces": sum(len(event["faces"]) for event in here),
        "labels_different": different,
        "largest_step": round(step * 256),
    }


def _arm_python(folder: Path) -> tuple[list[str], dict[str, Any]]:
    """A command that is Python with fer-edge on 64-bit Arm, and what it consists of."""
    packages = ("python3-minimal", "libpython3-stdlib", "libstdc++6", "ca-certificates")
    root = debian.kept(
        f"arm64-{SUITE}", packages,
        lambda fresh: debian.bootstrap(fresh, SUITE, packages, variant="extract", architecture="arm64"),
    )  # fmt: skip
    version = f"python{PYTHON[0]}.{PYTHON[1]}"
    requirements = debian.runtime_requirements()
    wheels = debian.kept(
        f"wheels-aarch64-{version}", requirements,
        lambda fresh: debian.install_wheels(fresh, requirements, machine="aarch64", python=PYTHON),
    )  # fmt: skip
    own = folder / "fer-edge"
    wheel = debian.build_wheel(folder)
    debian.install_wheels(own, [str(wheel)], machine="aarch64", python=PYTHON, dependencies=False)
    emulator = _emulator()
    command = [str(emulator), "-cpu", PROCESSOR, "-L", str(root)]
    command += ["-E", f"PYTHONHOME={root / 'usr'}", "-E", f"PYTHONPATH={own}:{wheels}"]
    command += [str(root / "usr/bin" / version)]
    names = [path.name for path in wheels.glob("*.dist-info")]
    ask = "import platform; print(platform.machine(), platform.python_version())"
    kept = ("numpy", "opencv_python_headless", "ai_edge_litert")
    return command, {
        "packages": sorted(name.removesuffix(".dist-info") for name in names if name.startswith(kept)),
        "emulator": f"{EMULATOR} {_version(emulator)}, {PROCESSOR}",
        "python": debian.run([*command, "-c", ask], "Python does not run on emulated 64-bit Arm").strip(),
    }


def _emulator() -> Path:
    """QEMU's user-mode emulator: this machine's, or that of a Debian new enough."""
    installed = shutil.which(EMULATOR)
    if installed and int(_version(Path(installed)).partition(".")[0]) >= FIRST_EMULATOR:
        return Path(installed)

    def make(fresh: Path) -> None:
        whole = fresh.with_name(f"{fresh.name}.whole")
        try:
            debian.bootstrap(whole, EMULATOR_SUITE, ["qemu-user"], variant="extract")
            fresh.mkdir()
            # One of its thirty processors; the program is linked statically.
            (whole / "usr/bin" / EMULATOR).rename(fresh / EMULATOR)
        finally:
            shutil.rmtree(whole, ignore_errors=True)

    return debian.kept(f"{EMULATOR}-{EMULATOR_SUITE}", [EMULATOR], make) / EMULATOR


def _version(emulator: Path) -> str:
    found = re.search(r"version (\d+(\.\d+)*)", debian.run([str(emulator), "--version"], f"{EMULATOR} does not run"))
    return found[1] if found else "0"


def _golden_steps(python: Sequence[str]) -> int:
    said = debian.run([*python, "-m", "fer_edge", "model", "verify"], "the model file was refused", env=_environment())
    found = re.search(r"golden inputs within (\d+) of 256 steps", said)
    if found is None:
        raise FerError(f"fer-edge model verify does not say how far the golden inputs are off ({said.strip()})")
    return int(found[1])


def _events(python: Sequence[str], clip: Path, out: Path) -> list[dict[str, Any]]:
    # Haar needs no weights that somebody has to have fetched.
    options = ["--source", str(clip), "--detector", "haar", "--every-frame", "--publish", f"file:{out}"]
    debian.run([*python, "-m", "fer_edge", "run", *options], f"fer-edge run failed on {clip.name}", env=_environment())
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def _environment() -> dict[str, str]:
    """Without settings of the user's, which would be in force on both sides."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("FER_EDGE_", "PYTHON"))}


def _clips(folder: Path, frames: int) -> list[Path]:
    """A drawn face, and the demo's real one where its picture is installed; both without loss."""
    clips = [_write(folder / "drawn.mkv", (drawn_face(number) for number in range(frames)))]
    try:
        demo = Demo(SourceOptions(size=SIZE, fps=_FPS))
    except SourceError:
        return clips
    return [
        *clips,
        _write(folder / "demo.mkv", (cv2.cvtColor(demo.render(n), cv2.COLOR_BGR2GRAY) for n in range(frames))),
    ]


def _write(path: Path, pictures: Any) -> Path:
    # Two processors may decode a lossy picture differently; FFV1 has one result.
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), _FPS, SIZE, False)
    if not writer.isOpened():
        raise FerError(f"{path.name} cannot be written: this OpenCV has no FFV1; install opencv-python-headless")
    for picture in pictures:
        writer.write(picture)
    writer.release()
    return path


def drawn_face(number: int) -> NDArray[np.uint8]:
    """Frame `number` of a drawn face that sways and smiles and that a Haar cascade finds: uint8, (240, 320)."""
    width, height = SIZE
    picture = np.full((height, width), 90, np.uint8)
    centre = (width / 2 + 20 * np.sin(number * 0.3), height / 2 + 6 * np.sin(number * 0.5))
    smile = max(2.0, abs(6 + 10 * np.sin(number * 0.4)))

    def ellipse(x: float, y: float, across: float, down: float, level: int) -> None:
        # Sixteenths of a pixel, so that small movements show.
        at = (round((centre[0] + x) * 16), round((centre[1] + y) * 16))
        cv2.ellipse(picture, at, (round(across * 16), round(down * 16)), 0, 0, 360, level, -1, cv2.LINE_AA, 4)

    ellipse(0, 0, 50, 65, 200)
    for side in (-1, 1):
        ellipse(side * 22, -14, 14, 7.5, 70)
        ellipse(side * 22, -26, 16, 4, 60)
        ellipse(side * 5, 20, 3, 2.5, 110)
    ellipse(0, 6, 5.5, 17, 225)
    ellipse(0, 36, 20, smile, 90)
    blurred: NDArray[np.uint8] = cv2.GaussianBlur(picture, (0, 0), 1.5).astype(np.uint8)
    return blurred
