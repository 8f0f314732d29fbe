"""What smoothing buys and what it costs: wrong switches against delay, on a sequence whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench import plots, scenes
from fer_bench.accuracy import classify, data_facts
from fer_bench.environment import model_facts
from fer_edge.contract.labels import UNCERTAIN
from fer_edge.expressions.smoothing import Smoother
from fer_edge.service.config import Settings
from fer_train.datasets import Dataset

SEGMENT_S = (2.0, 6.0)
"""An expression is held for so long, uniformly drawn."""

HOLDS_S = (0.0, 0.2, 1.0)
"""The classifier's answer is drawn anew after so long on average; 0 is at every frame. Between two frames of a
camera a face hardly changes, and so does the error about it: no one knows how long, so there are three."""

TIME_CONSTANTS_S = (0.1, 0.25, 0.5, 1.0, 2.0)
DWELLS_S = (0.0, 0.3, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledSequence:
    """Frames of one face.

    Attributes:
        truth: int64, (n,), index of the label that is shown.
        starts: int64, (segments,), frames at which the truth switches, the first among them.
        pictures: int64, (n,), which picture of the data set the classifier sees.
        fps: frames a second.
    """

    truth: NDArray[np.int64]
    starts: NDArray[np.int64]
    pictures: NDArray[np.int64]
    fps: float


def measure(
    data: Dataset, name: str, settings: Settings, *, minutes: float, fps: float, seed: int,
    on_picture: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Play sequences of labelled pictures through the loop's smoothing at several settings.

    What the classifier says of each frame is what it says of a picture of the true class, drawn at random:
    its own confusion, at its own confidence.

    Args:
        data: the data set.
        name: of the split whose pictures are drawn; the classes occur as often as there.
        settings: of fer-edge; its smoothing is one of those that are tried.
        minutes: length of each sequence.
        fps: frames a second.
        seed: of the sequence.
        on_picture: called with the number of pictures classified since the last call.

    Returns:
        The content of a smoothing result.

    Raises:
        DataError: there is no such split.
        ModelFileError: the model cannot be used, or its labels are not the data's.
    """
    split = data.split(name)
    classifier, model = scenes.open_classifier(settings, data)
    probabilities = classify(classifier, split, data.labels, on_picture)
    results = []
    for hold_s in HOLDS_S:
        sequence = make_sequence(split.labels, minutes=minutes, fps=fps, hold_s=hold_s, seed=seed)
        frames = probabilities[sequence.pictures]
        for smoothing in (None, *variants(settings)):
            shown = play(frames, data.labels, fps, smoothing)
            results.append({"hold_s": hold_s, "smoothing": smoothing, **judge(shown, sequence)})
    return {
        "threads": {"classifier": settings.threads, "opencv": settings.threads},
        "data": data_facts(data, name, split),
        "models": [model_facts(model, classifier.model)],
        "sequence": {"minutes": minutes, "fps": fps, "seed": seed, "segment_s": list(SEGMENT_S)},
        "in_force": in_force(settings),
        "results": results,
    }


def in_force(settings: Settings) -> dict[str, float]:
    """The smoothing that these settings ask for."""
    return {key: getattr(settings, key) for key in ("time_constant_s", "dwell_s", "lead", "min_confidence")}


def variants(settings: Settings) -> list[dict[str, float]]:
    """The settings' smoothing with other time constants and dwells, and as it is."""
    present = in_force(settings)
    return [
        {**present, "time_constant_s": time_constant_s, "dwell_s": dwell_s}
        for dwell_s in sorted({*DWELLS_S, present["dwell_s"]})
        for time_constant_s in sorted({*TIME_CONSTANTS_S, present["time_constant_s"]})
    ]


def make_sequence(
    labels: NDArray[np.int64], *, minutes: float, fps: float, hold_s: float, seed: int
) -> LabelledSequence:
    """A sequence whose truth depends on the seed alone and whose pictures are held as long as asked.

    Args:
        labels: int64, (pictures,), of at least two classes.
        minutes: length.
        fps: frames a second.
        hold_s: mean time until another picture of the class is drawn.
        seed: of truth and pictures.
    """
    frames = round(minutes * 60 * fps)
    rng = np.random.default_rng(seed)
    counts = np.bincount(labels)
    truth, starts = np.empty(frames, np.int64), []
    at, present = 0, -1
    while at < frames:
        shares = np.where(np.arange(len(counts)) == present, 0, counts)
        present = int(rng.choice(len(counts), p=shares / shares.sum()))
        starts.append(at)
        end = at + max(1, round(rng.uniform(*SEGMENT_S) * fps))
        truth[at:end] = present
        at = end
    noise = np.random.default_rng((seed, 1))
    anew = noise.random(frames) < (1.0 if hold_s == 0 else 1 - np.exp(-1 / (hold_s * fps)))
    anew[starts] = True
    of_class = [np.flatnonzero(labels == label) for label in range(len(counts))]
    drawn = np.array([noise.choice(of_class[label]) for label in truth[anew]])
    return LabelledSequence(truth, np.array(starts), drawn[np.cumsum(anew) - 1], fps)


def play(
    frames: NDArray[np.float32], labels: tuple[str, ...], fps: float, smoothing: dict[str, float] | None
) -> NDArray[np.int64]:
    """The label shown at each frame.

    Args:
        frames: float32, (n, labels), what the classifier says.
        labels: in that order.
        fps: frames a second.
        smoothing: arguments of `Smoother`; None shows each frame's most probable label.

    Returns:
        Index into `labels` (int64, (n,)), -1 for uncertain.
    """
    if smoothing is None:
        return frames.argmax(axis=1)
    smoother = Smoother(labels, **smoothing)
    index = {**{label: number for number, label in enumerate(labels)}, UNCERTAIN: -1}
    return np.array(
        [index[smoother.update(0, row, number / fps, number / fps)[0]] for number, row in enumerate(frames)], np.int64
    )


def judge(shown: NDArray[np.int64], sequence: LabelledSequence) -> dict[str, Any]:
    """How often the shown label is wrong, and how late it is.

    Args:
        shown: int64, (n,), index of the label, -1 for uncertain.
        sequence: of the same length.

    Returns:
        `false_switches_per_min`: how often the label became an expression that is not the true one;
        `delay_s`: p50 and p95 of the time from a switch of the truth until it is shown, over the segments
        in which it ever is, null where there is none; `missed`: share of segments in which it never is;
        `right`, `uncertain`: shares of the time.
    """
    truth, starts, fps = sequence.truth, sequence.starts, sequence.fps
    switched = np.flatnonzero(np.diff(shown)) + 1
    false = int(((shown[switched] >= 0) & (shown[switched] != truth[switched])).sum())
    delays = []
    for start, end in zip(starts, [*starts[1:], len(truth)], strict=True):
        arrived = np.flatnonzero(shown[start:end] == truth[start])
        if len(arrived):
            delays.append(arrived[0] / fps)
    p50, p95 = np.percentile(delays, [50, 95]) if delays else (None, None)
    return {
        "false_switches_per_min": round(false / (len(truth) / fps / 60), 2),
        "delay_s": None if p50 is None else {"p50": round(float(p50), 3), "p95": round(float(p95), 3)},
        "missed": round(1 - len(delays) / len(starts), 4),
        "right": round(float((shown == truth).mean()), 4),
        "uncertain": round(float((shown < 0).mean()), 4),
    }


def raw_and_in_force(content: dict[str, Any]) -> list[tuple[float, dict[str, Any], dict[str, Any]]]:
    """For each hold: the entry without smoothing and that of the settings in force."""
    found = []
    for hold_s in dict.fromkeys(entry["hold_s"] for entry in content["results"]):
        entries = [entry for entry in content["results"] if entry["hold_s"] == hold_s]
        raw = next(entry for entry in entries if entry["smoothing"] is None)
        found.append((hold_s, raw, next(entry for entry in entries if entry["smoothing"] == content["in_force"])))
    return found


def held(hold_s: float) -> str:
    """How people read a hold."""
    return "an answer anew at every frame" if hold_s == 0 else f"an answer holds {hold_s:g} s on average"


def table(content: dict[str, Any]) -> str:
    """A smoothing result as lines for a terminal."""
    sequence, present = content["sequence"], content["in_force"]
    lines = [
        f"{sequence['minutes']:g} minutes at {sequence['fps']:g} frames/s; in force: "
        + ", ".join(f"{key} {value:g}" for key, value in present.items())
    ]
    for hold_s in dict.fromkeys(entry["hold_s"] for entry in content["results"]):
        lines += ["", held(hold_s), f"{'time constant':<14}{'dwell':>7}{'false switches/min':>20}"
                  f"{'delay p50':>11}{'p95':>7}{'missed %':>10}{'right %':>9}{'uncertain %':>13}"]  # fmt: skip
        for entry in content["results"]:
            if entry["hold_s"] != hold_s:
                continue
            smoothing, delay = entry["smoothing"], entry["delay_s"]
            name = "none" if smoothing is None else f"{smoothing['time_constant_s']:g} s"
            dwell = "" if smoothing is None else f"{smoothing['dwell_s']:g} s"
            mark = "  <- in force" if smoothing == present else ""
            p50, p95 = ("-", "-") if delay is None else (f"{delay['p50']:.2f}", f"{delay['p95']:.2f}")
            lines.append(
                f"{name:<14}{dwell:>7}{entry['false_switches_per_min']:>20.1f}{p50:>11}{p95:>7}"
                f"{100 * entry['missed']:>10.1f}{100 * entry['right']:>9.1f}{100 * entry['uncertain']:>13.1f}{mark}"
            )
    return "\n".join(lines)


def plot(target: plots.Target, content: dict[str, Any]) -> None:
    """Draw false switches over delay: a panel for each hold, a line for each dwell.

    Along a line the time constant grows from left to right.
    """
    holds = list(dict.fromkeys(entry["hold_s"] for entry in content["results"]))
    with plots.drawing(target, 3.9 * len(holds), 4.2, "What smoothing buys, and what it costs") as figure:
        for axes, hold_s in zip(figure.subplots(1, len(holds), sharey=True, squeeze=False)[0], holds, strict=True):
            entries = [entry for entry in content["results"] if entry["hold_s"] == hold_s and entry["delay_s"]]
            smoothed = [entry for entry in entries if entry["smoothing"]]
            for number, dwell_s in enumerate(dict.fromkeys(entry["smoothing"]["dwell_s"] for entry in smoothed)):
                of_dwell = [entry for entry in smoothed if entry["smoothing"]["dwell_s"] == dwell_s]
                _points(axes, of_dwell, color=plots.COLORS[number], marker=plots.MARKERS[number], linewidth=1,
                        label=f"dwell {dwell_s:g} s")  # fmt: skip
            raw = [entry for entry in entries if entry["smoothing"] is None]
            _points(axes, raw, color="black", marker="X", markersize=9, linestyle="", label="no smoothing")
            present = [entry for entry in smoothed if entry["smoothing"] == content["in_force"]]
            _points(axes, present, color="none", marker="o", markersize=13, markeredgecolor="black", linestyle="",
                    label="in force")  # fmt: skip
            axes.set_title(held(hold_s))
            axes.set_yscale("symlog", linthresh=1)
            axes.set_ylim(bottom=0)
            axes.set_xlabel("delay of a true switch, median, s")
            axes.grid(alpha=0.3)
        figure.axes[0].set_ylabel("false switches a minute")
        figure.axes[-1].legend(framealpha=0.6, fontsize=8)


def _points(axes: Any, entries: Sequence[dict[str, Any]], **style: Any) -> None:
    axes.plot(
        [entry["delay_s"]["p50"] for entry in entries], [entry["false_switches_per_min"] for entry in entries], **style
    )
