"""FER2013 has two label sets, its own and FER+; a network is measured on both, whichever it learnt.

They agree for about two pictures in three, so a figure says little without the name of its labels.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from fer_edge.contract.files import write_text
from fer_train.datasets import in_labels, is_table, load
from fer_train.datasets.ferplus import VOTES_FILE
from fer_train.datasets.reading import FER2013, FERPLUS
from fer_train.datasets.splits import USAGE
from fer_train.evaluation import Evaluation, evaluate
from fer_train.runs import WEIGHTS, Run

FILE = "label_sets.json"
TITLES = {FER2013: "FER2013's labels", FERPLUS: "FER+ majority"}


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """A network on one label set.

    Attributes:
        evaluation: on the pictures whose label the network knows; a label that they do not have counts as wrong.
        left_out: pictures whose label the network does not know.
    """

    evaluation: Evaluation
    left_out: int


def has_both(run: Run) -> bool:
    """Whether a run's data has votes, and a split that both label sets divide alike."""
    if run.division != USAGE or len(run.sources) != 1 or run.reading.label_map:
        return False
    source = run.sources[0]
    votes = Path(run.reading.votes) if run.reading.votes else source.with_name(VOTES_FILE)
    return votes.is_file() and source.exists() and is_table(source)


def measure(run: Run) -> dict[str, Measured]:
    """`best.keras` on the run's validation split with either label set, by its name; writes `label_sets.json`.

    Args:
        run: one for which `has_both` holds.

    Raises:
        DataError: the data, the votes or the weights cannot be read.
    """
    from fer_train import models
    from fer_train.report import predict

    model = models.load(run.folder / WEIGHTS)
    found = {}
    for labels in (FER2013, FERPLUS):
        reading = dataclasses.replace(run.reading, labels=labels, clean=())
        data = load(*run.sources, reading=reading)
        split = in_labels(data, run.labels)[0].split(run.validation_split)
        left_out = len(data.split(run.validation_split)) - len(split)
        found[labels] = Measured(evaluate(predict(model, split.images), split.labels, run.labels), left_out)
    facts: dict[str, Any] = {
        labels: {**one.evaluation.to_dict(), "left_out": one.left_out} for labels, one in found.items()
    }
    write_text(run.folder / FILE, json.dumps(facts, indent=2) + "\n")
    return found


def table(found: dict[str, Measured]) -> str:
    """Accuracy, macro-F1 and recall of every class on either label set, in percent, as lines of text."""
    names = [TITLES[labels] for labels in found]
    results = [one.evaluation for one in found.values()]
    rows = [
        ("pictures", [f"{one.count:,}" for one in results]),
        ("accuracy", [f"{100 * one.accuracy:.2f}" for one in results]),
        ("macro-F1", [f"{100 * one.macro_f1:.2f}" for one in results]),
        *(
            (f"recall {label}", [f"{100 * one.recall[i]:.1f}" if one.support[i] else "-" for one in results])
            for i, label in enumerate(results[0].labels)
        ),
    ]
    lines = [f"{'':<16}" + "".join(f"{name:>20}" for name in names)]
    return "\n".join([*lines, *(f"{name:<16}" + "".join(f"{cell:>20}" for cell in cells) for name, cells in rows)])
