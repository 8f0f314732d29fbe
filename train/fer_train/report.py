"""What a run folder shows of its best model: figures as JSON and text, pictures of them, and one page with it all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import DataError
from fer_edge.contract.files import sha256_of, write_text
from fer_train import compare, models, page, plots
from fer_train.batches import to_input
from fer_train.datasets import Dataset, Split, copies
from fer_train.evaluation import Evaluation, evaluate
from fer_train.page import Html
from fer_train.runs import WEIGHTS, Run
from fer_train.significance import wilson_interval

PAGE = "report.html"
MISTAKES = 24


def predict(model: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities (float32, (n, classes)) of grey pictures (uint8, (n, height, width))."""
    found: NDArray[np.float32] = model.predict(to_input(images), batch_size=128, verbose=0)
    return found


def write_report(run: Run, data: Dataset) -> Evaluation:
    """Evaluate `best.keras` on the validation split and write what a run folder shows.

    Writes `evaluation.json`, `evaluation.txt`, `predictions.csv` (a row a validation picture), `curves.png`,
    `class_distribution.png`, `confusion_matrix.png`, `reliability.png`, `augmentation.png`,
    `predictions.png`, `mistakes.png`, and `report.html`, which holds all of them. The pictures among them
    are the data set's: they stay where the run folder is.

    Args:
        run: a run with at least one complete epoch.
        data: divided as the run wants it (`Run.divided`).

    Raises:
        DataError: the run has no complete epoch, or its weights are damaged.
    """
    if not (run.folder / WEIGHTS).exists():
        raise DataError(f"{run.folder} has no complete epoch yet; continue it with --resume {run.folder}")
    model = models.load(run.folder / WEIGHTS)
    training, validation = data.split(run.training_split), data.split(run.validation_split)
    probabilities = predict(model, validation.images)
    result = evaluate(probabilities, validation.labels, data.labels)
    history = run.history()
    facts = {
        "model": WEIGHTS,
        "model_sha256": sha256_of(run.folder / WEIGHTS),
        "parameters": model.count_params(),
        "epoch": run.best_epoch(),
        "epochs_trained": len(history),
        "epochs_wanted": run.recipe.training.epochs,
        "split": run.validation_split,
        "copies": copies(training, validation),
        **result.to_dict(),
    }
    write_text(run.folder / "evaluation.json", json.dumps(facts, indent=2) + "\n")
    write_text(run.folder / "evaluation.txt", result.table() + "\n")
    write_text(run.folder / "predictions.csv", _predictions(validation, data.labels, probabilities))
    _draw(run, data, result, probabilities)
    _write_page(run, data, result, facts)
    return result


def _predictions(split: Split, labels: tuple[str, ...], probabilities: NDArray[np.float32]) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["picture", "truth", "predicted", *labels])
    for name, truth, row in zip(split.names, split.labels, probabilities, strict=True):
        writer.writerow([name, labels[truth], labels[row.argmax()], *(f"{share:.4f}" for share in row)])
    return table.getvalue()


def _draw(run: Run, data: Dataset, result: Evaluation, probabilities: NDArray[np.float32]) -> None:
    training, validation = data.split(run.training_split), data.split(run.validation_split)
    history = run.history()
    title = f"{run.recipe.name}, seed {run.seed}"
    on_split = f"{run.validation_split} ({len(validation):,} pictures, accuracy {100 * result.accuracy:.2f} %)"
    plots.curves(
        run.folder / "curves.png", history, f"{title}: {len(history)} of {run.recipe.training.epochs} epochs",
        best=run.best_epoch(), accuracy=result.accuracy,
    )  # fmt: skip
    plots.class_distribution(run.folder / "class_distribution.png", data)
    plots.confusion_matrix(run.folder / "confusion_matrix.png", result, f"{title}: {WEIGHTS} on {on_split}")
    plots.reliability(run.folder / "reliability.png", {WEIGHTS: result}, f"{title}: how sure, how right")
    plots.augmentation_sheet(
        run.folder / "augmentation.png", training, data.labels,
        augmentation=run.recipe.augmentation, seed=run.seed,
    )  # fmt: skip
    plots.prediction_sheet(
        run.folder / "predictions.png", validation, data.labels, probabilities=probabilities,
        title=f"{title}: {WEIGHTS} on {on_split}, drawn at random", seed=run.seed,
    )  # fmt: skip
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != validation.labels)
    rows = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    (run.folder / "mistakes.png").unlink(missing_ok=True)
    if len(rows):
        texts = [
            f"{Path(validation.names[row]).name}\nis {data.labels[validation.labels[row]]}, "
            f"said {data.labels[predicted[row]]}\nsure to {100 * confidence[row]:.0f} %"
            for row in rows
        ]
        heading = f"{title}: the surest of {len(wrong):,} mistakes"
        plots.picture_sheet(run.folder / "mistakes.png", validation.images[rows], texts, heading)


def _write_page(run: Run, data: Dataset, result: Evaluation, facts: Mapping[str, Any]) -> None:
    low, high = wilson_interval(int(result.confusion.trace()), result.count)
    lead = (
        f"{100 * result.accuracy:.2f} % of the {result.count:,} pictures of {run.validation_split} are named rightly "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f}): {run.best_in_words()}."
    )
    if facts["epoch"] is not None:
        lead += " The epoch was chosen on these very pictures, which flatters it a little."
    parts = [
        page.section("What was asked", *_asked(run, facts)),
        page.section("Data", *_data(run, data, facts)),
        page.section("Curves", _picture(run, "curves.png", "loss, accuracy and learning rate over the epochs")),
        page.section("Result", *_result(run, result)),
        page.section(
            "Calibration",
            _picture(
                run,
                "reliability.png",
                "share of right answers over their confidence, in 15 bins",
                "Above the diagonal the network is better than it says, below it is too sure of itself.",
            ),
        ),
        page.section("Mistakes", *_mistakes(run)),
        page.section("Compared with the run before", *_compared(run)),
    ]
    page.write(run.folder / PAGE, f"{run.recipe.name}, seed {run.seed}: training report", lead, parts)


def _asked(run: Run, facts: Mapping[str, Any]) -> list[Html]:
    recipe, written = run.recipe.to_dict(), run.facts()
    groups = [(group, values) for group, values in recipe.items() if isinstance(values, dict)]
    return [
        page.facts(
            {
                "recipe": f"{recipe['name']}: {recipe['title']}",
                "source": recipe["source"],
                "network": f"{recipe['model']['architecture']}, {facts['parameters']:,} parameters",
                "epochs": f"{facts['epochs_trained']} of {facts['epochs_wanted']}",
                "time": f"{sum(row['seconds'] for row in run.history()) / 60:.0f} minutes",
                "seed": run.seed,
                "threads": run.threads,
                "versions": ", ".join(f"{name} {version}" for name, version in written["versions"].items()),
            }
        ),
        page.folded(
            "the whole recipe",
            *(
                page.facts({f"{group}.{key}": _plain(value) for key, value in values.items()})
                for group, values in groups
            ),
        ),
    ]


def _reading(run: Run) -> str:
    reading = run.reading
    said = [f"labels {reading.labels}", f"grey {reading.grey}", f"{reading.side} x {reading.side} pixels"]
    said += [f"without {', '.join(reading.clean)}"] if reading.clean else []
    said += [f"{name} as {label or 'nothing'}" for name, label in reading.label_map.items()]
    return "; ".join(said)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _data(run: Run, data: Dataset, facts: Mapping[str, Any]) -> list[Html]:
    counts = data.counts()
    found = facts["copies"]
    return [
        page.facts(
            {
                "read from": ", ".join(path.name for path in run.sources),
                "read as": _reading(run),
                "division": run.division,
                "trained on": f"{run.training_split}, sha256 {run.facts()['data_sha256'][run.training_split]}",
                "chosen on": f"{run.validation_split}, sha256 {run.facts()['data_sha256'][run.validation_split]}",
                "exact copies": f"{found['validation_in_training']:,} validation pictures are training pictures too, "
                f"{found['within_training']:,} training pictures repeat another one",
            }
        ),
        page.table(
            ["split", *data.labels, "all"],
            [(name, *(f"{n:,}" for n in numbers), f"{sum(numbers):,}") for name, numbers in counts.items()],
        ),
        page.folded(
            "pictures of these figures, and what augmentation does",
            _picture(run, "class_distribution.png", "pictures of each class in each split"),
            _picture(run, "augmentation.png", "training pictures and augmented views of them"),
        ),
    ]


def _result(run: Run, result: Evaluation) -> list[Html]:
    rows = [
        (label, *(f"{100 * share:.1f}" for share in shares), f"{support:,}")
        for label, *shares, support in zip(
            result.labels, result.precision, result.recall, result.f1, result.support, strict=True
        )
    ]
    return [
        page.facts(
            {
                "accuracy": f"{100 * result.accuracy:.2f} %",
                "macro-F1": f"{100 * result.macro_f1:.2f} %",
                "expected calibration error": f"{100 * result.ece:.2f} %, 15 bins",
            }
        ),
        page.table(["class", "precision %", "recall %", "F1 %", "pictures"], rows),
        _picture(run, "confusion_matrix.png", "confusion matrix, counts and shares of the true class"),
    ]


def _mistakes(run: Run) -> list[Html]:
    if not (run.folder / "mistakes.png").exists():
        return [page.paragraph("There are none on this split.")]
    return [
        page.paragraph(
            "Look at the labels, too: people agree with 65 \u00b1 5 % of FER2013's (Goodfellow et al. 2013)."
        ),
        _picture(run, "mistakes.png", "the mistakes that the network is surest of"),
        _picture(run, "predictions.png", "pictures of each class drawn at random, rightly and wrongly named"),
    ]


def _compared(run: Run) -> list[Html]:
    before = compare.previous(run)
    if before is None:
        return [page.paragraph("There is no earlier run with a report beside this one.")]
    outcomes = [before, compare.read(run.folder)]
    parts = [page.table(*compare.figures(outcomes))]
    parts.append(page.paragraph("Change in points, with p of McNemar's exact test where both runs list predictions."))
    parts += [page.table(*found) for found in (compare.recalls(outcomes), compare.differences(outcomes)) if found[1]]
    return parts


def _picture(run: Run, name: str, alt: str, caption: str = "") -> Html:
    return page.picture((run.folder / name).read_bytes(), alt, caption)
