"""What the live page costs the loop: the same frames without it, with it, and with two viewers, in turn."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import multiprocessing
import multiprocessing.connection
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from fer_bench import plots
from fer_bench.environment import model_facts
from fer_bench.pipeline import DecodedFrames, detector_facts, settings_facts
from fer_edge.contract.errors import FerError
from fer_edge.expressions import litert
from fer_edge.frames import SourceOptions
from fer_edge.frames.demo import Demo
from fer_edge.preview import Address, Preview, PreviewOptions
from fer_edge.publish.event import to_event
from fer_edge.records import Frame
from fer_edge.service.config import Settings
from fer_edge.service.run import make_classifier, make_detector, make_loop

SIZE = (640, 480)
FPS = 30.0
VIEWERS = 2
WARM_UP_S = 0.5

CONDITIONS = {"alone": "without the page", "unwatched": "page, nobody watches", "watched": "page, two viewers"}
"""Keys of a result's `conditions` and how people read them."""

_STATUS: dict[str, Any] = {
    "temperature_c": None, "slowed": False, "under_voltage": False, "failures": 0, "trouble": None, "sinks": [],
    "recording": None,
}  # fmt: skip


def measure(
    settings: Settings, *, frames: int, rounds: int, on_round: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Time the real loop on frames of the demo under each condition, one after the other in every round.

    The loop goes as fast as it can, so a page that took its time would show; viewers are processes of
    their own, as browsers are.

    Args:
        settings: of the loop.
        frames: a pass; held in memory.
        rounds: each with one pass under every condition, at least 1; one more warms up.
        on_round: called with 1 after each.

    Returns:
        The content of a preview result.

    Raises:
        FerError: a part cannot be opened.
    """
    classifier = make_classifier(settings)
    settings = dataclasses.replace(settings, detector=make_detector(settings).name)
    shown = _demo_frames(frames)
    wall = np.empty((rounds + 1, len(CONDITIONS)))
    processor = np.empty_like(wall)
    pictures = 0
    page = Preview(
        PreviewOptions(address=Address("127.0.0.1", 0)),
        labels=classifier.labels,
        about={"device": "fer-bench", "run": "", "version": ""},
        describe=functools.partial(to_event, device="fer-bench", run=""),
        status=lambda: _STATUS,
    )

    def passed(show: Callable[[Frame, Any], None] | None) -> tuple[float, float]:
        loop = make_loop(settings, DecodedFrames(shown), make_detector(settings), classifier)
        began, worked = time.perf_counter(), time.thread_time()
        for result in loop.results():
            if show is not None and loop.frame is not None:
                show(loop.frame, result)
        return time.perf_counter() - began, time.thread_time() - worked

    with contextlib.closing(page):
        port = int(page.url.rsplit(":", 1)[1].strip("/"))
        for number in range(rounds + 1):
            wall[number, 0], processor[number, 0] = passed(None)
            wall[number, 1], processor[number, 1] = passed(page.show)
            with _viewers(port) as counts:
                time.sleep(WARM_UP_S)
                wall[number, 2], processor[number, 2] = passed(page.show)
            pictures += sum(counts)
            on_round(1)
    return {
        "threads": {"classifier": settings.threads, "opencv": settings.threads},
        "data": {"source": "demo", "frames": frames, "width": SIZE[0], "height": SIZE[1]},
        "models": [model_facts(litert.model_path(settings.model), classifier.model)],
        "detector": detector_facts(settings.detector),
        "settings": settings_facts(settings),
        "rounds": rounds,
        "viewers": VIEWERS,
        "pictures_per_viewer": round(pictures / VIEWERS / (rounds + 1), 1),
        "conditions": {
            name: {
                "frames_per_s": round(float(np.median(frames / wall[1:, column])), 2),
                "slowdown_percent": _slowdown(wall[1:], column),
                "loop_processor_percent": _slowdown(processor[1:], column),
            }
            for column, name in enumerate(CONDITIONS)
        },
    }


def _slowdown(seconds: np.ndarray, column: int) -> dict[str, float]:
    """Time beyond the first condition of the same round, percent: quartiles over the rounds."""
    ratios = 100 * (seconds[:, column] / seconds[:, 0] - 1)
    return {f"p{p}": round(float(np.percentile(ratios, p)), 2) for p in (25, 50, 75)}


def _demo_frames(count: int) -> list[Frame]:
    demo = Demo(SourceOptions(size=SIZE, fps=FPS))
    # A name makes it a file's: the loop then waits for nothing.
    return [
        Frame(image=demo.render(n).copy(), time=n / FPS, captured=n / FPS, source="demo", name=str(n))
        for n in range(count)
    ]


@contextlib.contextmanager
def _viewers(port: int) -> Iterator[list[int]]:
    """Processes that watch both streams; afterwards, how many pictures each of them got."""
    context = multiprocessing.get_context("spawn")
    counts: list[int] = []
    started: list[tuple[Any, Connection]] = []
    try:
        for _ in range(VIEWERS):
            ours, theirs = context.Pipe()
            viewer = context.Process(target=_watch, args=(port, theirs), daemon=True)
            viewer.start()
            started.append((viewer, ours))
        for _, ours in started:
            if not ours.poll(60):
                raise FerError("a viewer of the live page did not start within 60 s; run fewer programs beside it")
            ours.recv()
        yield counts
        for _, ours in started:
            ours.send(None)
            counts.append(ours.recv())
    finally:
        for viewer, _ in started:
            viewer.kill()
            viewer.join()


def _watch(port: int, parent: Connection) -> None:
    """Read events and pictures until told to stop, and say how many pictures came."""
    streams: Sequence[socket.socket] = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
    for stream, path in zip(streams, ("/events", "/stream.mjpg"), strict=True):
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        stream.recv(1)
    parent.send(None)
    pictures = 0
    while ready := multiprocessing.connection.wait([*streams, parent]):
        if parent in ready:
            parent.send(pictures)
            return
        for stream in ready:
            got = stream.recv(1 << 20)  # type: ignore[union-attr]
            pictures += got.count(b"X-Seq:")


def table(content: dict[str, Any]) -> str:
    """A preview result as lines for a terminal."""
    data = content["data"]
    lines = [
        f"{data['frames']} frames of {data['width']}x{data['height']} a pass, {content['rounds']} rounds, "
        f"{content['detector']['name']}; {content['pictures_per_viewer']:g} pictures a pass and viewer",
        "",
        f"{'':<24}{'frames/s':>10}{'slower, %':>12}{'quartiles':>16}{'loop thread, %':>16}",
    ]
    for name, title in CONDITIONS.items():
        found = content["conditions"][name]
        slower, worked = found["slowdown_percent"], found["loop_processor_percent"]
        quartiles = f"{slower['p25']:+.1f} to {slower['p75']:+.1f}"
        lines.append(
            f"{title:<24}{found['frames_per_s']:>10.1f}{slower['p50']:>+12.1f}{quartiles:>16}{worked['p50']:>+16.1f}"
        )
    return "\n".join(lines)


def plot(target: plots.Target, content: dict[str, Any]) -> None:
    """Draw by how much each condition slows the loop."""
    with plots.drawing(target, 5.6, 2.6, "What the live page costs the loop") as figure:
        axes = figure.subplots()
        for row, name in enumerate(CONDITIONS):
            slower = content["conditions"][name]["slowdown_percent"]
            axes.plot([slower["p25"], slower["p75"]], [row, row], color=plots.COLORS[0], linewidth=5, alpha=0.4)
            axes.plot(slower["p50"], row, marker="o", color=plots.COLORS[0])
        axes.axvline(3, color=plots.GREY, linestyle="--")
        axes.set_yticks(range(len(CONDITIONS)), CONDITIONS.values())
        axes.invert_yaxis()
        axes.set_xlabel("slower than without, % (median and quartiles of the rounds); 3 % is the limit")
