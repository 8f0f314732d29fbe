"""What model files lose on pictures as a loop hands them over: framed, lit and compressed less well."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_bench import plots, scenes
from fer_bench.accuracy import THREADS, classify, data_facts, versus
from fer_bench.environment import model_facts
from fer_bench.results import legend, letter
from fer_edge.expressions import litert
from fer_train.datasets import Dataset, Split
from fer_train.evaluation import evaluate

Picture = NDArray[np.uint8]
Change = Callable[[Picture], Picture]

SHIFT = 0.08
SCALE = 0.15
ROLL_DEGREES = 15.0
BLUR_SIGMA = 1.0
DARKNESS = 0.35
JPEG_QUALITY = 25


def _framed(*, right: float = 0.0, down: float = 0.0, scale: float = 1.0, degrees: float = 0.0) -> Change:
    """What a box sees that is moved by shares of the side, larger than the face by `scale`, or turned."""

    def change(picture: Picture) -> Picture:
        height, width = picture.shape
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1 / scale)
        matrix[:, 2] -= right * width, down * height
        framed = cv2.warpAffine(
            picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(framed, np.uint8)

    return change


def _blurred(picture: Picture) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), BLUR_SIGMA), np.uint8)


def _dark(picture: Picture) -> Picture:
    return np.rint(picture * DARKNESS).astype(np.uint8)


def _compressed(picture: Picture) -> Picture:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


CONDITIONS: Mapping[str, tuple[Change, ...]] = MappingProxyType(
    {
        "as they are": (lambda picture: picture,),
        f"box moved by {SHIFT:.0%}": tuple(
            _framed(right=SHIFT * x, down=SHIFT * y) for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1))
        ),
        f"box larger by {SCALE:.0%}": (_framed(scale=1 + SCALE),),
        f"box smaller by {SCALE:.0%}": (_framed(scale=1 - SCALE),),
        f"rolled by {ROLL_DEGREES:.0f} degrees": (_framed(degrees=ROLL_DEGREES), _framed(degrees=-ROLL_DEGREES)),
        f"blurred, sigma {BLUR_SIGMA:g} px": (_blurred,),
        f"at {DARKNESS:.0%} of the light": (_dark,),
        f"JPEG, quality {JPEG_QUALITY}": (_compressed,),
    }
)
"""Accuracy under a condition is the mean over its changes. What a moved box uncovers repeats the edge, since
a FER2013 picture ends there."""

WORSE = tuple(CONDITIONS)[-3:]
"""Those of a worse picture rather than of a box that misses."""


def passes() -> int:
    """How often `measure` classifies each picture with each model."""
    return sum(map(len, CONDITIONS.values()))


def measure(
    data: Dataset, name: str, models: Sequence[Path], *, on_picture: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Classify a split under every condition with every model.

    Args:
        data: the data set.
        name: of the split.
        models: model files, quantized or not.
        on_picture: called with the number of classifications since the last call.

    Returns:
        The content of a robustness result: `threads`, `data`, `models`, `results`.

    Raises:
        DataError: there is no such split.
        ModelFileError: a file cannot be used, or has other labels than the data.
    """
    split = data.split(name)
    classifiers = [litert.load(path, threads=THREADS, allow_float=True) for path in models]
    for path, classifier in zip(models, classifiers, strict=True):
        scenes.require_labels(path, classifier, data)
    found: list[dict[str, Any]] = []
    for number, classifier in enumerate(classifiers):
        plain: NDArray[np.float32] | None = None
        for condition, changes in CONDITIONS.items():
            made = [classify(classifier, changed(split, change), data.labels, on_picture) for change in changes]
            plain = made[0] if plain is None else plain
            labels = np.tile(split.labels, len(made))
            against = versus(np.tile(plain, (len(made), 1)), np.concatenate(made), labels)
            evaluation = evaluate(np.concatenate(made), labels, data.labels)
            found.append(
                {
                    "model": number,
                    "condition": condition,
                    "accuracy": round(evaluation.accuracy, 6),
                    "lost": round((against["lost"] - against["gained"]) / len(labels), 6),
                    "worst": round(min(float((one.argmax(axis=1) == split.labels).mean()) for one in made), 6),
                    "agreement": against["agreement"],
                    "recall": {
                        label: round(float(share), 6)
                        for label, share, count in zip(
                            evaluation.labels, evaluation.recall, evaluation.support, strict=True
                        )
                        if count
                    },
                }
            )
    return {
        "threads": {"classifier": THREADS},
        "data": data_facts(data, name, split),
        "models": [model_facts(path, made.model) for path, made in zip(models, classifiers, strict=True)],
        "results": found,
    }


def changed(split: Split, change: Change) -> Split:
    """The split with every picture changed."""
    return Split(np.stack([change(image) for image in split.images]), split.labels, split.names)


def table(content: dict[str, Any]) -> str:
    """A robustness result as lines for a terminal; models are lettered."""
    data, models = content["data"], content["models"]
    names = [Path(facts["name"]) for facts in models]
    lines = [f"{data['split']} of {data['file']}: {data['pictures']} pictures", *legend(models, names), ""]
    width = max(map(len, CONDITIONS))
    lines.append(
        " " * width
        + "".join(f"{letter(number) + ', %':>10}{'lost':>8}{'lowest recall':>15}" for number in range(len(models)))
    )
    for condition in CONDITIONS:
        entries = [entry for entry in content["results"] if entry["condition"] == condition]
        cells = (
            f"{100 * entry['accuracy']:10.2f}{100 * entry['lost']:8.2f}{100 * min(entry['recall'].values()):15.2f}"
            for entry in entries
        )
        lines.append(f"{condition:<{width}}" + "".join(cells))
    return "\n".join(lines)


def plot(target: plots.Target, content: dict[str, Any]) -> None:
    """Draw the accuracy under each condition, model beside model."""
    data = content["data"]
    names = list(CONDITIONS)
    with plots.drawing(target, 7.4, 0.5 * len(names) + 1.4, f"Accuracy on {data['split']} of {data['file']}") as figure:
        axes = figure.subplots()
        for number in range(len(content["models"])):
            shares = [100 * entry["accuracy"] for entry in content["results"] if entry["model"] == number]
            style = number % len(plots.COLORS)
            axes.plot(shares, range(len(names)), linestyle="", color=plots.COLORS[style],
                      marker=plots.MARKERS[style], label=content["models"][number]["name"])  # fmt: skip
            axes.axvline(shares[0], color=plots.COLORS[style], alpha=0.4, linewidth=1)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set(xlabel="%")
        axes.grid(axis="x", alpha=0.3)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
