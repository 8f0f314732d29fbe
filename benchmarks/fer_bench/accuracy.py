"""How often model files are right, on the pictures of a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench import plots
from fer_bench.environment import model_facts
from fer_bench.results import legend, letter
from fer_edge.contract.errors import ModelFileError
from fer_edge.contract.model_file import ModelFile
from fer_edge.expressions import litert
from fer_edge.expressions.litert import LiteRtClassifier
from fer_edge.faces.framing import crop_gray
from fer_train.datasets import Dataset, Split, in_labels
from fer_train.datasets.labelling import ordered
from fer_train.evaluation import evaluate
from fer_train.significance import mcnemar, wilson_interval

THREADS = 1

OWN_FLOAT = {"agreement", "drop_points", "drop_points_95", "mcnemar_p"}
"""What a model file says of itself against the network it was made from."""


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
        ModelFileError: a file cannot be used, or does not know all labels of the data.
    """
    classifiers = [litert.load(path, threads=THREADS, allow_float=True) for path in models]
    for path, classifier in zip(models, classifiers, strict=True):
        if not set(classifier.labels) >= set(data.labels):
            raise ModelFileError(
                f"{path} knows {', '.join(classifier.labels)} where {data.source} has {', '.join(data.labels)}; "
                "measure it on the data it was made for, or leave classes out with --label-map"
            )
    # What a model says of classes that the data does not have is wrong, and so it has to be counted.
    extra = ordered({label for classifier in classifiers for label in classifier.labels} - set(data.labels))
    data, _ = in_labels(data, (*data.labels, *extra))
    split = data.split(name)
    probabilities = [classify(classifier, split, data.labels, on_picture) for classifier in classifiers]
    return {
        "threads": {"classifier": THREADS},
        "data": data_facts(data, name, split),
        "models": [model_facts(path, made.model) for path, made in zip(models, classifiers, strict=True)],
        "results": [
            {
                "model": number,
                **_evaluated(values, split, data.labels),
                "versus_first": versus(probabilities[0], values, split.labels) if number else None,
                "versus_own_float": _own_float(classifiers[number].model, name, split),
            }
            for number, values in enumerate(probabilities)
        ],
    }


def data_facts(data: Dataset, name: str, split: Split) -> dict[str, Any]:
    """What a result file says about the pictures it is about: `split`, or a sample of the split of that name."""
    return {"file": data.name, "split": name, "sha256": split.sha256(), "pictures": len(split)}


def classify(
    classifier: LiteRtClassifier, split: Split, labels: tuple[str, ...], on_picture: Callable[[int], None]
) -> NDArray[np.float32]:
    """Probabilities (float32, (n, labels)) of a split's pictures, in the order of `labels`; 0 for unknown ones."""
    columns = [labels.index(label) for label in classifier.labels]
    made = np.zeros((len(split), len(labels)), np.float32)
    height, width = split.images.shape[1:]
    whole = (0, 0, width, height)
    for row, image in enumerate(split.images):
        # The loop's own resampling serves networks of another input size.
        made[row, columns] = classifier.classify(crop_gray(image, whole, classifier.side))
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


def _own_float(model: ModelFile, name: str, split: Split) -> dict[str, Any] | None:
    """What the model file says of the float network it was made from, on these pictures; None where it is silent."""
    said = model.facts.get("accuracy")
    found = said.get(name) if isinstance(said, dict) else None
    measured = model.facts.get("data_sha256")
    same = isinstance(measured, dict) and measured.get(name) == split.sha256()
    if not isinstance(found, dict) or not same or not found.keys() >= OWN_FLOAT:
        return None
    return {key: found[key] for key in sorted(OWN_FLOAT)}


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
        found = [entry["evaluation"]["classes"][label] for entry in results]
        recalls = [_percent(one["recall"]) if one["support"] else "-" for one in found]
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


def plot(target: plots.Target, content: dict[str, Any]) -> None:
    """Draw each class' recall with its 95 % interval, model beside model."""
    entries = content["results"]
    classes = list(entries[0]["evaluation"]["classes"])
    data = content["data"]
    with plots.drawing(target, 7.4, 0.5 * len(classes) + 1.4, f"Recall on {data['split']} of {data['file']}") as figure:
        axes = figure.subplots()
        for number, entry in enumerate(entries):
            rows = np.arange(len(classes)) + 0.16 * (number - (len(entries) - 1) / 2)
            found = entry["evaluation"]["classes"]
            recalls = np.array([found[label]["recall"] for label in classes])
            support = np.array([found[label]["support"] for label in classes])
            bounds = np.array(
                [wilson_interval(round(share * n), max(n, 1)) for share, n in zip(recalls, support, strict=True)]
            )
            errors = np.abs(bounds.T - recalls)
            style = number % len(plots.COLORS)
            axes.errorbar(100 * recalls, rows, xerr=100 * errors, linestyle="", color=plots.COLORS[style],
                          marker=plots.MARKERS[style], label=letter(entry["model"]))  # fmt: skip
        axes.set_yticks(range(len(classes)), classes)
        axes.invert_yaxis()
        axes.set(xlabel="%", xlim=(0, 100))
        axes.grid(axis="x", alpha=0.3)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
