"""How often model files are right, on the pictures of a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench.environment import model_facts
from fer_bench.results import legend, letter
from fer_bench.statistics import wilson_interval
from fer_convert.verification import mcnemar
from fer_edge.contract.errors import ModelFileError
from fer_edge.expressions import litert
from fer_edge.expressions.litert import LiteRtClassifier
from fer_edge.faces.framing import crop_gray
from fer_train.datasets import Dataset, Split
from fer_train.evaluation import evaluate

THREADS = 1


def measure(
    data: Dataset, name: str, models: Sequence[Path], *, on_picture: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Classify every picture of a split with every model, as the edge loop would.

    Args:
        data: the data set.
        name: of the split.
        models: model files, quantized or not; comparisons are with the first.
        on_picture: called with the number of classifications since the last call.

    Returns:
        The content of an accuracy result: `threads`, `data`, `models`, `results`.

    Raises:
        DataError: there is no such split.
        ModelFileError: a file cannot be used, or its labels are not the data's.
    """
    split = data.split(name)
    classifiers = [litert.load(path, threads=THREADS, allow_float=True) for path in models]
    for path, classifier in zip(models, classifiers, strict=True):
        if set(classifier.labels) != set(data.labels):
            raise ModelFileError(
                f"{path} knows {', '.join(classifier.labels)} where {data.source} has {', '.join(data.labels)}; "
                "measure it on the data it was made for"
            )
    probabilities = [classify(classifier, split, data.labels, on_picture) for classifier in classifiers]
    return {
        "threads": {"classifier": THREADS},
        "data": {"file": Path(data.source).name, "split": name, "sha256": split.sha256(), "pictures": len(split)},
        "models": [model_facts(path, made.model) for path, made in zip(models, classifiers, strict=True)],
        "results": [
            {
                "model": number,
                **_evaluated(values, split, data.labels),
                "versus_first": versus(probabilities[0], values, split.labels) if number else None,
            }
            for number, values in enumerate(probabilities)
        ],
    }


def classify(
    classifier: LiteRtClassifier, split: Split, labels: tuple[str, ...], on_picture: Callable[[int], None]
) -> NDArray[np.float32]:
    """Probabilities (float32, (n, labels)) of a split's pictures, in the order of `labels`."""
    columns = [classifier.labels.index(label) for label in labels]
    made = np.empty((len(split), len(labels)), np.float32)
    height, width = split.images.shape[1:]
    whole = (0, 0, width, height)
    for row, image in enumerate(split.images):
        # The loop's own resampling serves networks of another input size.
        made[row] = classifier.classify(crop_gray(image, whole, classifier.side))[columns]
        on_picture(1)
    return made


def versus(first: NDArray[np.float32], other: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, Any]:
    """Two models on the same pictures.

    Args:
        first, other: probabilities, (n, classes).
        labels: the truth, (n,).

    Returns:
        `agreement`: share of pictures with equal labels, 0..1; `gained`, `lost`: pictures that only the
        other or only the first gets right; `mcnemar_p`: two-sided exact p value that neither is better.
    """
    tops = first.argmax(axis=1), other.argmax(axis=1)
    right = tops[0] == labels, tops[1] == labels
    gained, lost = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
    return {
        "agreement": round(float((tops[0] == tops[1]).mean()), 6),
        "gained": gained,
        "lost": lost,
        "mcnemar_p": float(f"{mcnemar(gained, lost):.3g}"),
    }


def _evaluated(probabilities: NDArray[np.float32], split: Split, labels: tuple[str, ...]) -> dict[str, Any]:
    evaluation = evaluate(probabilities, split.labels, labels)
    interval = wilson_interval(int(evaluation.confusion.trace()), evaluation.count)
    return {"evaluation": evaluation.to_dict(), "accuracy_95": [round(bound, 6) for bound in interval]}


def table(content: dict[str, Any], models: Sequence[Path]) -> str:
    """An accuracy result as lines for a terminal; models are lettered."""
    data, results = content["data"], content["results"]
    letters = [letter(number) for number in range(len(models))]
    lines = [f"{data['split']} of {data['file']}: {data['pictures']} pictures", *legend(content["models"], models)]
    rows: list[tuple[str, list[str]]] = [
        ("", letters),
        ("accuracy", [_percent(entry["evaluation"]["accuracy"]) for entry in results]),
        ("  95 % interval", ["{:.1f} to {:.1f}".format(*(100 * b for b in entry["accuracy_95"])) for entry in results]),
        ("macro-F1", [_percent(entry["evaluation"]["macro_f1"]) for entry in results]),
        ("ECE, 15 bins", [_percent(entry["evaluation"]["ece"]) for entry in results]),
    ]
    for label, first in results[0]["evaluation"]["classes"].items():
        recalls = [_percent(entry["evaluation"]["classes"][label]["recall"]) for entry in results]
        rows.append((f"recall {label} ({first['support']})", recalls))
    if len(results) > 1:
        versus_first = [entry["versus_first"] for entry in results]
        rows += [
            ("agreement with A", ["" if v is None else _percent(v["agreement"]) for v in versus_first]),
            ("right where A is not", ["" if v is None else str(v["gained"]) for v in versus_first]),
            ("wrong where A is not", ["" if v is None else str(v["lost"]) for v in versus_first]),
            ("McNemar's exact p", ["" if v is None else f"{v['mcnemar_p']:.2g}" for v in versus_first]),
        ]
    width = max(len(title) for title, _ in rows)
    lines += ["", *(f"{title:<{width}}" + "".join(f"{cell:>14}" for cell in cells) for title, cells in rows)]
    return "\n".join([*lines, "", "all shares in percent"])


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
