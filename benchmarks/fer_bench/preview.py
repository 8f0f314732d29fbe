"""What the live page costs the loop: the same frames without it, with it, and with two viewers, in turn."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import multiprocessing
import multiprocessing.connection
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench import plots
from fer_bench.environment import model_facts
from fer_bench.pipeline import detector_facts, settings_facts
from fer_bench.statistics import median_interval
from fer_edge.contract import shipped
from fer_edge.contract.errors import FerError
from fer_edge.frames import SourceOptions
from fer_edge.frames.demo import Demo
from fer_edge.preview import Address, Preview, PreviewOptions
from fer_edge.publish.event import to_event
from fer_edge.records import Frame
from fer_edge.service.config import Settings
from fer_edge.service.run import make_classifier, make_detector, make_loop

SIZE = (640, 480)
FPS = 30.0
DISTINCT = 120
"""Pictures held in memory; shown forwards and backwards, so that the face never jumps."""

VIEWERS = 2
START_S = 60.0
"""For a viewer to start as a process and import this module on a busy board, seconds."""

PACES = {"camera": f"{FPS:g} frames/s, as from a camera", "flat_out": "as fast as the loop goes"}
CONDITIONS = {"alone": "without the page", "unwatched": "page, nobody watches", "watched": "page, two viewers"}
"""Keys of a result's `paces` and their `conditions`, and how people read them."""

_STATUS: dict[str, Any] = {
    "temperature_c": None, "slowed": False, "under_voltage": False, "failures": 0, "trouble": None, "sinks": [],
    "recording": None,
}  # fmt: skip


def measure(
    settings: Settings, *, window_s: float, rounds: int, on_round: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Time the real loop on frames of the demo, in short windows with and without the page side by side.

    A round is one window under each condition at each pace. What counts is a frame's time: from when the source
    hands it out until the loop asks for the next, waiting for the camera left out. It is compared within a
    round, so what else the machine does cancels as far as it lasts longer than a round; the order of the
    conditions turns from round to round. Viewers are processes of their own, as browsers are, but on the same
    machine, where they cost more than across a network.

    Args:
        settings: of the loop.
        window_s: length of a window, seconds.
        rounds: at least 1; one more warms up.
        on_round: called with 1 after each.

    Returns:
        The content of a preview result.

    Raises:
        FerError: a part cannot be opened.
    """
    classifier = make_classifier(settings)
    settings = dataclasses.replace(settings, detector=make_detector(settings).name)
    images = _demo_images()
    page = Preview(
        PreviewOptions(address=Address("127.0.0.1", 0)),
        labels=classifier.labels,
        about={"device": "fer-bench", "run": "", "version": ""},
        describe=functools.partial(to_event, device="fer-bench", run=""),
        status=lambda: _STATUS,
    )

    def window(pace: str, show: Callable[[Frame, Any], None] | None) -> _Window:
        source = _Window(images, window_s, fps=FPS if pace == "camera" else None)
        loop = make_loop(settings, source, make_detector(settings), classifier)
        page_began = time.clock_gettime(page_clock)
        for result in loop.results():
            if show is not None and loop.frame is not None:
                show(loop.frame, result)
        source.page_processor_s = time.clock_gettime(page_clock) - page_began
        return source

    windows: dict[str, dict[str, list[_Window]]] = {pace: {name: [] for name in CONDITIONS} for pace in PACES}
    pictures: dict[str, list[tuple[int, float]]] = {pace: [] for pace in PACES}
    with contextlib.closing(page), _Viewers(int(page.url.rsplit(":", 1)[1].strip("/"))) as viewers:
        (thread,) = (thread for thread in threading.enumerate() if thread.name == "live page")
        assert thread.ident is not None
        page_clock = time.pthread_getcpuclockid(thread.ident)
        for number in range(rounds + 1):
            for pace in PACES:
                for turn in range(len(CONDITIONS)):
                    name = list(CONDITIONS)[(number + turn) % len(CONDITIONS)]
                    if name == "watched":
                        with viewers.watching() as counts:
                            measured = window(pace, page.show)
                        pictures[pace] += counts
                    else:
                        measured = window(pace, page.show if name == "unwatched" else None)
                    windows[pace][name].append(measured)
            on_round(1)
    return {
        "threads": {"classifier": settings.threads, "opencv": settings.threads},
        "data": {"source": "demo", "window_s": window_s, "width": SIZE[0], "height": SIZE[1]},
        "models": [model_facts(shipped.model_path(settings.model), classifier.model)],
        "detector": detector_facts(settings.detector),
        "settings": settings_facts(settings),
        "rounds": rounds,
        "viewers": VIEWERS,
        "paces": {pace: _figures(windows[pace], pictures[pace]) for pace in PACES},
    }


class _Window:
    """A source that ends when a window's time is up, and takes the time of what is done with its frames.

    Args:
        images: uint8, (height, width, 3) BGR, in turn.
        seconds: length of the window.
        fps: pace of a live source; None hands them out like a file, as fast as they are asked for.

    Attributes:
        frames: handed out.
        dropped: due while nobody asked.
        busy_s: from handing a frame out until the next was asked for, over all frames.
        processor_s: of it, what the reading thread spent on a processor.
        wall_s: of the whole window.
        page_processor_s: what the page's thread spent meanwhile.
    """

    def __init__(self, images: Sequence[NDArray[np.uint8]], seconds: float, *, fps: float | None) -> None:
        self._images, self._seconds, self._fps = images, seconds, fps
        self._began: float | None = None
        self._next = 0
        self._handed = (0.0, 0.0)
        self.frames = self.dropped = 0
        self.busy_s = self.processor_s = self.wall_s = self.page_processor_s = 0.0

    def read(self) -> Frame | None:
        """The frame whose turn it is, or None once the time is up."""
        now, worked = time.perf_counter(), time.thread_time()
        if self._began is None:
            self._began = now
        else:
            self.busy_s += now - self._handed[0]
            self.processor_s += worked - self._handed[1]
        number, elapsed = self._next, now - self._began
        if self._fps is not None:
            number = max(number, int(elapsed * self._fps))
            self.dropped += number - self._next
            time.sleep(max(0.0, number / self._fps - elapsed))
            elapsed = number / self._fps
        if elapsed >= self._seconds:
            self.wall_s = time.perf_counter() - self._began
            return None
        self._next = number + 1
        self.frames += 1
        captured = number / FPS if self._fps is None else time.monotonic()
        # A name makes it a file's: the loop then waits for nothing.
        name = str(number) if self._fps is None else None
        image = self._images[number % len(self._images)]
        self._handed = (time.perf_counter(), time.thread_time())
        return Frame(image=image, time=time.time(), captured=captured, source="demo", name=name)

    def close(self) -> None:
        """Nothing is held."""


def _figures(windows: dict[str, list[_Window]], pictures: Sequence[tuple[int, float]]) -> dict[str, Any]:
    """What the rounds say about each condition; the first round is left out."""
    kept = {name: each[1:] for name, each in windows.items()}
    counts, seconds = zip(*pictures[VIEWERS:], strict=True)

    def beyond(name: str, seconds: Callable[[_Window], float]) -> dict[str, float]:
        pairs = zip(kept[name], kept["alone"], strict=True)
        ratios = [100 * (seconds(one) / one.frames / (seconds(alone) / alone.frames) - 1) for one, alone in pairs]
        low, high = median_interval(ratios)
        return {"p50": round(float(np.median(ratios)), 2), "low_95": round(low, 2), "high_95": round(high, 2)}

    def median(name: str, value: Callable[[_Window], float]) -> float:
        return float(np.median([value(each) for each in kept[name]]))

    return {
        "pictures_per_s": round(sum(counts) / sum(seconds), 1),
        "conditions": {
            name: {
                "frames_per_s": round(median(name, lambda each: each.frames / each.wall_s), 2),
                "frame_ms": round(median(name, lambda each: 1e3 * each.busy_s / each.frames), 4),
                "slowdown_percent": beyond(name, lambda each: each.busy_s),
                "loop_processor_percent": beyond(name, lambda each: each.processor_s),
                "page_core_percent": round(median(name, lambda each: 100 * each.page_processor_s / each.wall_s), 2),
            }
            for name in CONDITIONS
        },
    }


def _demo_images() -> list[NDArray[np.uint8]]:
    demo = Demo(SourceOptions(size=SIZE, fps=FPS))
    images = [demo.render(number).copy() for number in range(DISTINCT)]
    return images + images[-2:0:-1]


class _Viewers:
    """Processes that watch both streams of a page when they are told to.

    They live as long as the measurement: what starting them costs is in no window.
    """

    def __init__(self, port: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._started: list[tuple[Any, Connection]] = []
        for _ in range(VIEWERS):
            ours, theirs = context.Pipe()
            viewer = context.Process(target=_view, args=(port, theirs), daemon=True)
            viewer.start()
            self._started.append((viewer, ours))

    def __enter__(self) -> _Viewers:
        return self

    def __exit__(self, *_: object) -> None:
        for viewer, _ in self._started:
            viewer.kill()
            viewer.join()

    @contextlib.contextmanager
    def watching(self) -> Iterator[list[tuple[int, float]]]:
        """Let them watch; afterwards, how many pictures each of them got in how many seconds."""
        counts: list[tuple[int, float]] = []
        for _, ours in self._started:
            ours.send(None)
        for _, ours in self._started:
            self._answer(ours)
        yield counts
        for _, ours in self._started:
            ours.send(None)
            counts.append(self._answer(ours))

    @staticmethod
    def _answer(ours: Connection) -> Any:
        if ours.poll(START_S):
            with contextlib.suppress(EOFError, OSError):
                return ours.recv()
        raise FerError("a viewer of the live page ended or took a minute to answer; run fewer programs beside it")


def _view(port: int, parent: Connection) -> None:
    """At every other message read events and pictures, until the next; then say how many pictures came."""
    while True:
        parent.recv()
        with contextlib.ExitStack() as stack:
            streams: list[socket.socket] = []
            for path in ("/events", "/stream.mjpg"):
                stream = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                stream.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                stream.recv(1)
                streams.append(stream)
            parent.send(None)
            pictures, began = 0, time.monotonic()
            while parent not in (ready := multiprocessing.connection.wait([*streams, parent])):
                for stream in ready:
                    pictures += stream.recv(1 << 20).count(b"X-Seq:")  # type: ignore[union-attr]
        parent.recv()
        parent.send((pictures, time.monotonic() - began))


def table(content: dict[str, Any]) -> str:
    """A preview result as lines for a terminal."""
    data = content["data"]
    lines = [
        f"{content['rounds']} rounds of windows of {data['window_s']:g} s, {data['width']}x{data['height']}, "
        f"{content['detector']['name']}; a frame's time, and the loop thread's processor time: medians of what",
        "each round has more than without the page, and their 95 % intervals",
    ]
    for pace, title in PACES.items():
        found = content["paces"][pace]
        lines += [
            "",
            f"{title}; each viewer gets {found['pictures_per_s']:g} pictures/s",
            f"{'':<22}{'frames/s':>10}{'ms a frame':>12}{'more time, %':>24}{'more processor, %':>24}"
            f"{'page, core %':>14}",
        ]
        for name, condition in CONDITIONS.items():
            row = found["conditions"][name]
            more = [
                f"{row[key]['p50']:+.1f} ({row[key]['low_95']:+.1f} to {row[key]['high_95']:+.1f})"
                for key in ("slowdown_percent", "loop_processor_percent")
            ]
            lines.append(
                f"{condition:<22}{row['frames_per_s']:>10.1f}{row['frame_ms']:>12.3f}{more[0]:>24}{more[1]:>24}"
                f"{row['page_core_percent']:>14.1f}"
            )
    return "\n".join(lines)


def plot(target: plots.Target, content: dict[str, Any]) -> None:
    """Draw by how much the page lengthens a frame's time, at each pace."""
    with plots.drawing(target, 5.6, 3.0, "What the live page costs the loop") as figure:
        axes = figure.subplots()
        rows = list(CONDITIONS)[1:]
        for number, (pace, title) in enumerate(PACES.items()):
            for row, name in enumerate(rows):
                more = content["paces"][pace]["conditions"][name]["slowdown_percent"]
                place = row + (number - 0.5) / 4
                axes.plot(
                    [more["low_95"], more["high_95"]],
                    [place, place],
                    color=plots.COLORS[number],
                    linewidth=5,
                    alpha=0.4,
                )
                axes.plot(
                    more["p50"], place, marker=plots.MARKERS[number], color=plots.COLORS[number], linestyle="none",
                    label=None if row else title,
                )  # fmt: skip
        axes.axvline(3, color=plots.GREY, linestyle="--")
        axes.set_yticks(range(len(rows)), [CONDITIONS[name] for name in rows])
        axes.invert_yaxis()
        axes.set_xlabel("more time for a frame than without, %\n(median and its 95 % interval; 3 % is the limit)")
        axes.legend(loc="best")
