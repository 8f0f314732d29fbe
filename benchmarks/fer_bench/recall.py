"""Which faces the loop finds with its windows and its schedule, against a full scan of every frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fer_bench.environment import model_facts
from fer_bench.pipeline import DecodedFrames, decode, detector_facts, settings_facts
from fer_edge.contract import shipped
from fer_edge.contract.errors import DetectorError, UsageError
from fer_edge.contract.files import sha256_of
from fer_edge.faces.tracking import overlap
from fer_edge.faces.weights import find_yunet
from fer_edge.faces.yunet import YuNetDetector
from fer_edge.records import Box, Frame
from fer_edge.service.config import Settings
from fer_edge.service.run import make_classifier, make_detector, make_loop

REFERENCE_SCORE = 0.5
"""Least score of a face that the reference believes in, having one frame to go by."""

SAME_FACE = 0.5
"""Intersection over union above which two boxes are of one face."""


def measure(
    clips: Sequence[Path], settings: Settings, *, max_frames: int, on_clip: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Compare the loop's faces with those of YuNet on every frame in full resolution.

    Args:
        clips: video files.
        settings: of fer-edge.
        max_frames: of each clip, at most.
        on_clip: called with the number of clips since the last call.

    Returns:
        The content of a recall result.

    Raises:
        UsageError: a clip is no file.
        DetectorError: YuNet's weights are not installed.
        FerError: a clip cannot be decoded, or a part of the loop cannot be opened.
    """
    for clip in clips:
        if not clip.is_file():
            raise UsageError(f"{clip} is not a file; give videos as CLIP")
    # What can be refused without decoding is refused first.
    _weights()
    model = shipped.model_path(settings.model)
    classifier = make_classifier(settings)
    name = make_detector(settings).name
    facts, compared = [], []
    for clip in clips:
        frames = decode(dataclasses.replace(settings, source=str(clip), max_frames=max_frames))
        height, width = frames[0].image.shape[:2]
        facts.append(
            {"file": clip.name, "sha256": sha256_of(clip), "frames": len(frames), "width": width, "height": height}
        )
        loop = make_loop(settings, DecodedFrames(frames), make_detector(settings), classifier)
        # Boxes of results are in the full frame; the reference sees the same region of it.
        looped = [
            [_within(face.box, frame) for face in result.faces]
            for frame, result in zip(frames, loop.results(), strict=True)
        ]
        compared.append(compare(looped, reference(frames, settings.min_face)))
        on_clip(1)
    together = {
        key: sum(entry[key] for entry in compared) for key in ("frames", "right_count", "faces", "found", "extra")
    }
    return {
        "threads": {"classifier": settings.threads, "opencv": settings.threads},
        "data": {"clips": facts},
        "models": [model_facts(model, classifier.model)],
        "detector": detector_facts(name),
        "settings": settings_facts(settings),
        "least_overlap": SAME_FACE,
        "comparisons": [{"clip": number, **entry} for number, entry in enumerate(compared)],
        # No interval: frames of one clip are not independent, and a handful of clips tells little.
        "together": together,
    }


def reference_detector(width: int, min_face: int) -> YuNetDetector:
    """YuNet in float32, for scans at full resolution.

    Args:
        width: of the frames in pixels.
        min_face: smallest face in pixels.

    Raises:
        DetectorError: its weights are not installed.
    """
    return YuNetDetector(_weights(), width=width, min_face=min_face, least_scan_score=REFERENCE_SCORE, quantized=False)


def _weights() -> Path:
    weights = find_yunet()
    if weights is None:
        raise DetectorError("the reference needs YuNet's weights; run: fer-edge model pull yunet")
    return weights


def reference(frames: Sequence[Frame], min_face: int) -> list[list[Box]]:
    """What YuNet finds on every frame in full resolution.

    Raises:
        DetectorError: its weights are not installed.
    """
    detector = reference_detector(frames[0].image.shape[1], min_face)
    # A camera's small stream must not stand in for the full frame.
    return [[found.box for found in detector.scan(dataclasses.replace(frame, small=None))] for frame in frames]


def compare(looped: Sequence[Sequence[Box]], truth: Sequence[Sequence[Box]]) -> dict[str, int]:
    """Count, over the frames of a clip, what the loop found of the reference's faces.

    Args:
        looped, truth: boxes of each frame, the loop's and the reference's.

    Returns:
        `frames`; `right_count`: frames with as many faces as the reference's; `faces`: of the reference;
        `found`: those with a face of the loop's over an IoU of 0.5; `extra`: the loop's without one of these.
    """
    found = sum(matches(ours, theirs) for ours, theirs in zip(looped, truth, strict=True))
    return {
        "frames": len(truth),
        "right_count": sum(len(ours) == len(theirs) for ours, theirs in zip(looped, truth, strict=True)),
        "faces": sum(map(len, truth)),
        "found": found,
        "extra": sum(map(len, looped)) - found,
    }


def matches(ours: Sequence[Box], theirs: Sequence[Box]) -> int:
    """How many pairs of one box of each can be made with an IoU over 0.5, largest first, each box used once."""
    pairs = sorted(((overlap(a, b), i, j) for i, a in enumerate(ours) for j, b in enumerate(theirs)), reverse=True)
    left, right = set(range(len(ours))), set(range(len(theirs)))
    for shared, i, j in pairs:
        if shared > SAME_FACE and i in left and j in right:
            left.remove(i)
            right.remove(j)
    return len(ours) - len(left)


def _within(box: Box, frame: Frame) -> Box:
    return (box[0] - frame.offset[0], box[1] - frame.offset[1], box[2], box[3])


def table(content: dict[str, Any]) -> str:
    """A recall result as lines for a terminal."""
    lines = [
        f"{content['detector']['name']} in the loop against YuNet on every full frame, IoU over {SAME_FACE}",
        "",
        f"{'clip':<46}{'frames':>7}{'right count':>12}{'faces':>7}{'found':>7}{'':>9}{'extra':>6}",
    ]
    named = [
        (facts["file"], entry) for facts, entry in zip(content["data"]["clips"], content["comparisons"], strict=True)
    ]
    for name, entry in [*named, ("together", content["together"])]:
        share = f"{100 * entry['found'] / entry['faces']:.1f} %" if entry["faces"] else ""
        lines.append(
            f"{name:<46}{entry['frames']:>7}{entry['right_count']:>12}{entry['faces']:>7}{entry['found']:>7}{share:>9}"
            f"{entry['extra']:>6}"
        )
    return "\n".join(lines)
