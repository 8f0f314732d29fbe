"""The loop against the package people install today, `fer`, on the same frames in one run."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_bench import plots, process
from fer_bench.environment import model_facts
from fer_bench.peer_venv import PEER
from fer_bench.pipeline import decode, detector_facts, settings_facts, time_loop
from fer_bench.statistics import percentiles
from fer_edge.contract import shipped
from fer_edge.contract.errors import FerError, UsageError
from fer_edge.contract.files import sha256_of
from fer_edge.expressions import litert
from fer_edge.frames import SourceOptions
from fer_edge.frames.demo import DEFAULT_FPS, Demo
from fer_edge.records import Frame
from fer_edge.service.config import Settings
from fer_edge.service.run import make_classifier, make_detector

SCRIPT = Path(__file__).with_name("peer_fer.py")
DEMO = "demo"
SIZE = (640, 480)
LAST_WORDS_S = 10.0
TURN_MS = 3000.0
"""A side's turn lasts at least so long, frames alone counted: it goes through the clip again and again. Once through it
takes the peer four seconds, and the loop a tenth of one, in which it would mostly warm up what the peer left cold."""

PROCESS_RUNS = 3
"""Fresh processes of each side, at most: the peer takes half a minute for one."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Frames that both sides see.

    Attributes:
        name: as people know it.
        path: a file that both sides decode to the same frames.
        frames: decoded, with pictures of their own.
    """

    name: str
    path: Path
    frames: Sequence[Frame]


def measure(
    clips: Sequence[Path | None], runs: Sequence[Settings], python: Path, *, max_frames: int, rounds: int,
    on_round: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Run the peer and the loop in turn on the same decoded frames, then both as fresh processes.

    Args:
        clips: video files; None is the moving demo face, rendered at 640x480.
        runs: settings of fer-edge with one detector each and the same model.
        python: of an environment with the peer in it.
        max_frames: of each clip, at most.
        rounds: at least 1; one more warms up.
        on_round: called with the number of rounds since the last call, `len(clips) * rounds` in all.

    Returns:
        The content of a peers result.

    Raises:
        UsageError: a clip is no file.
        FerError: a side cannot be started, or failed.
    """
    settings = runs[0]
    model = shipped.model_path(settings.model)
    classifier = make_classifier(settings)
    measured, facts, peer = [], [], {}
    with tempfile.TemporaryDirectory(prefix="fer-bench-") as folder:
        for number, path in enumerate(clips):
            clip = _open(path, settings, max_frames, Path(folder))
            frames_file = Path(folder) / f"frames-{number}.npy"
            np.save(frames_file, np.stack([bgr(frame) for frame in clip.frames]))
            with _Peer(python, frames_file) as other:
                peer = other.facts
                turns = [other.turn, *(_our_turn(run, clip, classifier, Path(folder)) for run in runs)]
                sides = _in_turns(turns, rounds, on_round)
            launches = _processes(clip, runs, model, python, min(rounds, PROCESS_RUNS), Path(folder) / str(number))
            height, width = clip.frames[0].image.shape[:2]
            facts.append({"file": clip.name, "sha256": sha256_of(clip.path), "frames": len(clip.frames),
                          "width": width, "height": height})  # fmt: skip
            measured.append(
                {
                    "clip": number,
                    "decode_ms": percentiles([[frame.capture_ms for frame in clip.frames]]),
                    "sides": [
                        {"side": name, **_figures(times, sides[0][0]), "faces": faces, **launch}
                        for name, (times, faces), launch in zip(_names(runs), sides, launches, strict=True)
                    ],
                }
            )
            frames_file.unlink()
    return {
        "threads": {"classifier": settings.threads, "opencv": settings.threads},
        "data": {"clips": facts},
        "models": [model_facts(model, classifier.model)],
        "peer": peer,
        "detectors": [{**detector_facts(run.detector), "settings": settings_facts(run)} for run in runs],
        "rounds": rounds,
        "turn_ms": TURN_MS,
        "comparisons": measured,
    }


def _names(runs: Sequence[Settings]) -> list[str]:
    return ["fer", *(f"fer-edge {run.detector}" for run in runs)]


def _open(path: Path | None, settings: Settings, max_frames: int, folder: Path) -> Clip:
    if path is not None and not path.is_file():
        raise UsageError(f"{path} is not a file; give a video with --clip")
    file = path or write_demo(folder / f"{DEMO}.mkv", max_frames)
    source = dataclasses.replace(settings, source=str(file), max_frames=max_frames)
    return Clip(DEMO if path is None else path.name, file.absolute(), decode(source))


def write_demo(path: Path, frames: int) -> Path:
    """Render the demo into a lossless clip (FFV1, 640x480, 30 frames/s) and return its path.

    Raises:
        SourceError: the demo's picture is not installed.
        FerError: this OpenCV cannot write the clip.
    """
    demo = Demo(SourceOptions(size=SIZE))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), DEFAULT_FPS, SIZE)
    if not writer.isOpened():
        raise FerError(f"OpenCV {cv2.__version__} cannot write FFV1 clips here; give a clip with --clip instead")
    for number in range(frames):
        writer.write(demo.render(number))
    writer.release()
    return path


def bgr(frame: Frame) -> NDArray[np.uint8]:
    """A frame's picture in three channels: uint8, (height, width, 3) BGR."""
    image = frame.image
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR).view(np.uint8)


class _Peer:
    """The peer's process, which waits between its rounds."""

    def __init__(self, python: Path, frames: Path) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        try:
            self._child = subprocess.Popen(
                [str(python), str(SCRIPT), "rounds", str(frames)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True,
            )  # fmt: skip
        except OSError as error:
            raise FerError(f"{python} cannot be started ({error.strerror}); remove its folder and try again") from error
        self.facts: dict[str, Any] = {}

    def __enter__(self) -> _Peer:
        try:
            answer = self._answer()
        except BaseException:
            self.__exit__()
            raise
        self.facts = {
            "import_s": round(answer["import_s"], 3),
            "load_s": round(answer["load_s"], 3),
            "versions": answer["versions"],
        }
        return self

    def turn(self) -> tuple[list[float], int]:
        """Milliseconds of every frame, and the faces found in all of them."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write("\n")
            self._child.stdin.flush()
        except BrokenPipeError as error:
            raise self._failed() from error
        answer = self._answer()
        return answer["ms"], sum(answer["faces"])

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise self._failed()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _failed(self) -> FerError:
        # Its last words come after the end of its answers.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(LAST_WORDS_S)
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
        return FerError(f"the peer {PEER} failed: {said[-1][: process.MAX_MESSAGE]}")

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            if self._child.stdin is not None:
                self._child.stdin.close()
        process.end(self._child)
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._said.close()


def _our_turn(
    settings: Settings, clip: Clip, classifier: litert.LiteRtClassifier, folder: Path
) -> Callable[[], tuple[list[float], int]]:
    detector = make_detector(settings)

    def turn() -> tuple[list[float], int]:
        with tempfile.TemporaryDirectory(dir=folder) as events:
            times, results = time_loop(settings, clip.frames, detector, classifier, Path(events) / "events.jsonl")
        return times[-1].tolist(), sum(len(result.faces) for result in results)

    return turn


def _in_turns(
    turns: Sequence[Callable[[], tuple[list[float], int]]], rounds: int, on_round: Callable[[int], None]
) -> list[tuple[list[NDArray[np.float64]], int]]:
    """Milliseconds of every frame (for each round float64, (frames,)) and faces in the clip, for each side."""
    faces = [turn()[1] for turn in turns]
    times: list[list[NDArray[np.float64]]] = [[] for _ in turns]
    for number in range(rounds):
        # Whoever comes first after another's work pays for cold caches: take turns.
        for side in np.roll(np.arange(len(turns)), -number).tolist():
            ms: list[float] = []
            while sum(ms) < TURN_MS:
                more, faces[side] = turns[side]()
                ms += more
            times[side].append(np.array(ms))
        on_round(1)
    return list(zip(times, faces, strict=True))


def _processes(
    clip: Clip, runs: Sequence[Settings], model: Path, python: Path, count: int, folder: Path
) -> list[dict[str, Any]]:
    folder.mkdir()
    limit = len(clip.frames)
    launches: list[list[process.Launch]] = [[] for _ in range(len(runs) + 1)]
    for number in range(count):
        events = folder / f"fer-{number}.jsonl"
        command = [str(python), str(SCRIPT), "once", str(clip.path), str(events), str(limit)]
        launches[0].append(process.watch(command, events, name=f"the peer {PEER}"))
        for side, settings in enumerate(runs, start=1):
            arguments = ["--source", str(clip.path), "--detector", settings.detector, "--max-frames", str(limit)]
            arguments += ["--model", str(model.absolute())]
            launches[side].append(process.launch(arguments, folder / f"edge-{side}-{number}.jsonl"))
    return [{"process": process.figures(side)} for side in launches]


def _figures(times: Sequence[NDArray[np.float64]], peer: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
    """A side's figures, ratios to the peer's frames/s in the same round."""
    rates, rates_of_peer = (np.array([1e3 / ms.mean() for ms in side]) for side in (times, peer))
    ratios = rates / rates_of_peer
    return {
        "ms": percentiles(times),
        "frames_per_s": round(float(np.median(rates)), 3),
        "round_frames_per_s": [round(rate, 3) for rate in rates.tolist()],
        "times_peer": {
            "p50": round(float(np.median(ratios)), 4),
            "low": round(float(ratios.min()), 4),
            "high": round(float(ratios.max()), 4),
        },
    }


def table(content: dict[str, Any]) -> str:
    """A peers result as lines for a terminal."""
    peer = content["peer"]
    lines = [
        f"fer {peer['versions']['fer']}, default detector, import {peer['import_s']:.1f} s; "
        f"medians of {content['rounds']} rounds of {content['turn_ms'] / 1e3:g} s or more a side, decoding left out"
    ]
    for entry, facts in zip(content["comparisons"], content["data"]["clips"], strict=True):
        lines += [
            "",
            f"{facts['file']}: {facts['frames']} frames of {facts['width']}x{facts['height']}, decoding "
            f"{entry['decode_ms']['p50']:.2f} ms a frame",
            f"{'':<16}{'frames/s':>10}{'times fer (range)':>24}{'faces':>7}{'first result':>14}{'peak memory':>13}",
        ]
        for side in entry["sides"]:
            ratio, fresh = side["times_peer"], side["process"]
            times = f"{ratio['p50']:.1f} ({ratio['low']:.1f} to {ratio['high']:.1f})"
            first = "none" if fresh["first_event_ms"] is None else f"{fresh['first_event_ms'] / 1e3:.2f} s"
            lines.append(
                f"{side['side']:<16}{side['frames_per_s']:>10.1f}{times:>24}{side['faces']:>7}{first:>14}"
                f"{fresh['peak_memory_mb']:>10.0f} MB"
            )
    return "\n".join(lines)


def plot(target: plots.Target, content: dict[str, Any]) -> None:
    """Draw frames/s and peak memory, one group of bars a clip."""
    names = [side["side"] for side in content["comparisons"][0]["sides"]]
    clips = [clip["file"] for clip in content["data"]["clips"]]
    with plots.drawing(target, 9, 3.8, f"The loop against {PEER} on the same frames") as figure:
        speed, memory = figure.subplots(1, 2)
        width = 0.8 / len(names)
        for number, name in enumerate(names):
            sides = [entry["sides"][number] for entry in content["comparisons"]]
            at = np.arange(len(clips)) + (number - (len(names) - 1) / 2) * width
            color = plots.GREY if number == 0 else plots.COLORS[number - 1]
            bars = speed.bar(at, [side["frames_per_s"] for side in sides], width, color=color, label=name)
            speed.bar_label(bars, [f"{side['times_peer']['p50']:.1f}x" for side in sides], fontsize=8)
            peaks = memory.bar(at, [side["process"]["peak_memory_mb"] for side in sides], width, color=color)
            memory.bar_label(peaks, fmt="%.0f", fontsize=8)
        speed.set(title="frames/s, decoding left out")
        memory.set(title="peak memory of a fresh process, MB")
        for axes in (speed, memory):
            axes.set_xticks(np.arange(len(clips)), clips)
        speed.legend()
