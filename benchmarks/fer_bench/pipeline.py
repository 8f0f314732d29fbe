"""What a whole frame costs: the real loop on a clip, from decoded frames to events in a file."""

from __future__ import annotations

import dataclasses
import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench import process
from fer_bench.environment import model_facts
from fer_bench.statistics import percentiles
from fer_edge.contract import shipped
from fer_edge.contract.errors import DataError, UsageError
from fer_edge.contract.files import sha256_of
from fer_edge.faces.weights import find_yunet
from fer_edge.frames import open_source
from fer_edge.publish import SinkContext, open_sinks
from fer_edge.records import Frame, FrameResult
from fer_edge.seams import ExpressionClassifier, FaceDetector
from fer_edge.service import config
from fer_edge.service.config import Settings
from fer_edge.service.run import make_classifier, make_detector, make_loop, source_options

STAGES = {
    "decode": "decode, beforehand",
    "detect": "detect",
    "classify": "classify",
    "other": "track, crop, smooth",
    "publish": "encode and publish",
    "own": "loop's own cost",
    "total": "whole loop",
}
"""Keys of a pipeline result's `stages_ms` and how people read them. `other` is what events call so; `own`
is `total` without `detect` and `classify`; `total` is everything but `decode`."""

NOT_TOLD = frozenset(
    ("source", "publish", "model", "device", "detector", "max_frames", "preview", "preview_name", "record")
)
"""Settings that a result names elsewhere, or that say something about the machine's owner."""


class DecodedFrames:
    """A clip's frames from memory, so that the loop is timed without decoding; a `FrameSource`."""

    dropped = 0

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._left = iter(frames)

    def read(self) -> Frame | None:
        """The next frame, or None at the end."""
        return next(self._left, None)

    def close(self) -> None:
        """Nothing is held."""


class OneBuffer(DecodedFrames):
    """Decoded frames that come one after another in the same memory, as those of a decoder or a camera do.

    A hundred decoded frames do not fit into a processor's cache, and the loop would be timed waiting for memory that
    a decoder has just written.
    """

    def __init__(self, frames: Sequence[Frame]) -> None:
        super().__init__(frames)
        self._next: Frame | None = None
        self._image: NDArray[np.uint8] = np.empty(0, np.uint8)

    def fill(self) -> None:
        """Put the next frame's picture into the buffer; what a decoder would have done by now."""
        self._next = super().read()
        if self._next is not None:
            if self._image.shape != self._next.image.shape:
                self._image = np.empty_like(self._next.image)
            np.copyto(self._image, self._next.image)
            self._next = dataclasses.replace(self._next, image=self._image)

    def read(self) -> Frame | None:
        """The frame that the buffer was filled with."""
        return self._next


def measure(
    clip: Path, *, detector: str | None, model: Path | None, settings_file: Path | None,
    max_frames: int, rounds: int, on_round: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Run the real loop on a clip, within this process for the stages and as fresh processes for the rest.

    Args:
        clip: a video or image file.
        detector: as in `--detector`, or None for what the settings say.
        model: an int8 model file, or None for what the settings say.
        settings_file: a fer-edge settings file, or None.
        max_frames: at most so many frames are used; decoded ones are held in memory.
        rounds: of each of the two parts, at least 1; one more of the first warms up.
        on_round: called with the number of rounds since the last call, `2 * rounds` in all.

    Returns:
        The content of a pipeline result.

    Raises:
        UsageError, ConfigError: the clip is no file, or a setting is wrong.
        FerError: a part of the loop cannot be opened, or failed.
    """
    if not clip.is_file():
        raise UsageError(f"{clip} is not a file; give a video or image file as CLIP")
    flags = {"source": str(clip), "detector": detector, "model": model and str(model), "max_frames": max_frames}
    settings = config.load(settings_file, flags=flags)
    model_path = shipped.model_path(settings.model)
    classifier = make_classifier(settings)
    searcher = make_detector(settings)
    detector_name = searcher.name
    settings = dataclasses.replace(settings, detector=detector_name)
    frames = decode(settings)
    with tempfile.TemporaryDirectory(prefix="fer-bench-") as folder:
        times = np.empty((rounds, 5, len(frames)))
        _, results = time_loop(settings, frames, searcher, classifier, Path(folder) / "warm-up.jsonl")
        for number in range(rounds):
            times[number], _ = time_loop(settings, frames, searcher, classifier, Path(folder) / f"loop-{number}.jsonl")
            on_round(1)
        run = ["--source", str(clip.absolute()), "--detector", detector_name, "--model", str(model_path.absolute())]
        run += ["--max-frames", str(max_frames)]
        if settings_file is not None:
            run += ["--config", str(settings_file.absolute())]
        launches = []
        for number in range(rounds):
            launches.append(process.launch(run, Path(folder) / f"process-{number}.jsonl"))
            on_round(1)
    return {
        "threads": {"classifier": settings.threads, "opencv": settings.threads},
        "data": {
            "file": clip.name,
            "sha256": sha256_of(clip),
            "frames": len(frames),
            "width": frames[0].size[0],
            "height": frames[0].size[1],
        },
        "models": [model_facts(model_path, classifier.model)],
        "detector": detector_facts(detector_name),
        "settings": settings_facts(settings),
        "rounds": rounds,
        "loop": _loop_figures(frames, times, results),
        "process": process.figures(launches),
    }


def decode(settings: Settings) -> list[Frame]:
    """A clip's frames, with pictures of their own, as the source delivers them under these settings.

    Raises:
        SourceError: the clip cannot be decoded.
        DataError: it holds no frame.
    """
    frames: list[Frame] = []
    source = open_source(settings.source, source_options(settings))
    try:
        while len(frames) != settings.max_frames and (frame := source.read()) is not None:
            # Sources reuse their buffers.
            small = None if frame.small is None else frame.small.copy()
            frames.append(dataclasses.replace(frame, image=frame.image.copy(), small=small))
    finally:
        source.close()
    if not frames:
        raise DataError(f"{settings.source} holds no frame; give a video that plays")
    return frames


def time_loop(
    settings: Settings, frames: Sequence[Frame], detector: FaceDetector, classifier: ExpressionClassifier, events: Path
) -> tuple[NDArray[np.float64], list[FrameResult]]:
    """One pass of a fresh loop over the frames, publishing to a file; what detector and classifier load is not timed
    from their second pass on.

    Returns:
        Milliseconds, float64, (5, frames): detect, classify, other, publish, total; and the loop's results.
    """
    # Its clock goes back to the clip's beginning, and the detector begins with a scan as it did at first.
    source = OneBuffer(frames)
    loop = make_loop(settings, source, detector, classifier)
    context = SinkContext(
        device=settings.device_name,
        run=secrets.token_hex(3),
        every_frame=settings.every_frame,
        labels=classifier.labels,
    )
    times = np.empty((5, len(frames)))
    kept = []
    with open_sinks([f"file:{events}"], context) as sinks:
        results = loop.results()
        for number in range(len(frames)):
            source.fill()
            began = time.perf_counter()
            result = next(results)
            looked = time.perf_counter()
            sinks.publish(result)
            ended = time.perf_counter()
            stages = [result.stages_ms[stage] for stage in ("detect", "classify", "other")]
            times[:, number] = [*stages, (ended - looked) * 1e3, (ended - began) * 1e3]
            kept.append(result)
    return times, kept


def _loop_figures(
    frames: Sequence[Frame], times: NDArray[np.float64], results: Sequence[FrameResult]
) -> dict[str, Any]:
    detect, classify, other, publish, total = times.transpose(1, 0, 2)
    decoding = np.array([[frame.capture_ms for frame in frames]])
    own = total - detect - classify
    parts = (decoding, detect, classify, other, publish, own, total)
    seconds = total.sum(axis=1) / 1e3
    return {
        "frames_with_face": sum(bool(result.faces) for result in results),
        "faces": sum(len(result.faces) for result in results),
        "stages_ms": {stage: percentiles(part) for stage, part in zip(STAGES, parts, strict=True)},
        "frames_per_s": round(float(np.median(len(frames) / seconds)), 2),
        "frames_per_s_with_decoding": round(float(np.median(len(frames) / (seconds + decoding.sum() / 1e3))), 2),
    }


def detector_facts(name: str) -> dict[str, Any]:
    weights = find_yunet() if name == "yunet" else None
    return {"name": name, "sha256": weights and sha256_of(weights)}


def settings_facts(settings: Settings) -> dict[str, Any]:
    """What a result file says about the settings in force."""
    return {key: value for key, value in dataclasses.asdict(settings).items() if key not in NOT_TOLD}


def table(content: dict[str, Any]) -> str:
    """A pipeline result as lines for a terminal."""
    data, loop, fresh = content["data"], content["loop"], content["process"]
    model = content["models"][0]
    lines = [
        f"{data['file']}: {data['frames']} frames of {data['width']}x{data['height']}, a face in "
        f"{loop['frames_with_face']}; {content['detector']['name']}, {model['file']} ({model['quantization']})",
        "",
        f"{'milliseconds a frame':<22}{'p50':>9}{'p95':>9}{'p99':>9}",
    ]
    for stage, title in STAGES.items():
        figures = loop["stages_ms"][stage]
        lines.append(f"{title:<22}" + "".join(f"{figures[p]:>9.3f}" for p in ("p50", "p95", "p99")))
    first = "none" if fresh["first_event_ms"] is None else f"{fresh['first_event_ms']:.0f} ms"
    lines += [
        "",
        f"frames/s              {loop['frames_per_s']:>9.1f}   with decoding {loop['frames_per_s_with_decoding']:.1f}",
        f"as a fresh process: first event after {first}, peak memory {fresh['peak_memory_mb']:.1f} MB, "
        f"{fresh['wall_ms'] / 1e3:.2f} s in all",
        f"medians of {content['rounds']} rounds",
    ]
    return "\n".join(lines)
