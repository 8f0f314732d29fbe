"""A run folder: what a training was asked for, what it learnt from, and how far it came.

`run.json` holds the recipe as used, the seed, the data and the versions; `history.csv` a row an epoch.
`fer_train.fit` adds `last.keras` and `best.keras`, `fer_train.report` the evaluation of the latter.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import json
import os
import platform
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fer_edge.contract.errors import DataError, UsageError
from fer_edge.contract.files import replacing, sha256_of, write_text
from fer_train import model_files
from fer_train.datasets import Dataset, Reading, copies, divide, load
from fer_train.datasets.splits import USAGE
from fer_train.recipe import Recipe, from_dict

if TYPE_CHECKING:
    import keras

HISTORY = ("epoch", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy", "seconds")
RUNS = Path("runs")
"""Where run folders go unless told otherwise."""

WEIGHTS, LAST = "best.keras", "last.keras"
TEACHER, START = "teacher.keras", "start.keras"


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder and what it was asked for.

    Attributes:
        folder: where it lies.
        recipe: as used.
        seed: of the weights, the order of the pictures and their augmentation.
        training_split, validation_split: names of the splits.
        division: how the splits were made (`datasets.divide`).
        labels: names of the network's outputs, in their order.
        source: the data as it was given when the run began, for people.
        sources: its paths, one by one.
        reading: how it was read.
        threads: of TensorFlow, where it is known: another number rounds sums differently, so only the
            same number repeats a run to the last digit.
    """

    folder: Path
    recipe: Recipe
    seed: int
    training_split: str
    validation_split: str
    division: str = USAGE
    labels: tuple[str, ...] = ()
    source: str = ""
    sources: tuple[Path, ...] = ()
    reading: Reading = field(default_factory=Reading)
    threads: int | None = None

    def facts(self) -> dict[str, Any]:
        """What `run.json` says."""
        facts: dict[str, Any] = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
        return facts

    def set_aside(self) -> dict[str, Any] | None:
        """Which training pictures neither the run nor any network it builds on has learned; None where there are none.

        They depend on the share and the training split alone, so runs that agree on these left the same ones aside.
        """
        facts = self.facts()
        share = self.recipe.training.hold_out
        wanted = {"share": share, "training_sha256": facts["data_sha256"][self.training_split]}
        earlier = [facts[role].get("set_aside") for role in ("teacher", "start") if role in facts]
        return wanted if share and all(one == wanted for one in earlier) else None

    def start_labels(self) -> tuple[str, ...]:
        """What the outputs of the network that the run begins with mean; the run's own where nobody knows."""
        return tuple(self.facts().get("start", {}).get("labels") or self.labels)

    def history(self) -> list[dict[str, float]]:
        """The rows of `history.csv` so far."""
        path = self.folder / "history.csv"
        if not path.exists():
            return []
        with path.open(newline="") as stream:
            return [
                {key: int(value) if key == "epoch" else float(value) for key, value in row.items()}
                for row in csv.DictReader(stream)
            ]

    def best_epoch(self) -> int | None:
        """The epoch whose weights `best.keras` holds; None where these are a mean (`Training.start_share`)."""
        history = self.history()
        if self.recipe.training.start_share and len(history) >= self.recipe.training.epochs:
            return None
        return int(max(history, key=lambda row: row["val_accuracy"])["epoch"])

    def best_in_words(self) -> str:
        """Which weights `best.keras` holds."""
        best, trained = self.best_epoch(), len(self.history())
        if best is not None:
            return f"epoch {best} of {trained}"
        share = self.recipe.training.start_share
        return f"mean of the weights after epoch {trained} and, {share:.0%} of it, those it began with"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other training out of the folder; the lock ends with the process at the latest.

        Raises:
            UsageError: another training holds the folder, or it cannot be written to.
        """
        try:
            # NFS grants an exclusive lock only on a file that is open for writing.
            stream = (self.folder / "run.json").open("r+b")
        except OSError as error:
            raise UsageError(
                f"run folder {self.folder} cannot be written to ({error.strerror}); make it writable or copy it"
            ) from error
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UsageError(
                    f"another fer-train is training in {self.folder}; wait until it ends, or stop it first"
                ) from error
            except OSError:
                pass  # a file system without locks is no reason not to train
            yield

    def load(self, *instead: Path) -> Dataset:
        """Read the run's data, or the same data from other places, as the run reads and divides it.

        Raises:
            DataError: it cannot be read, or is not the data that the run was begun with.
        """
        return self.divided(load(*(instead or self.sources), reading=self.reading))

    def divided(self, data: Dataset) -> Dataset:
        """`data`, just loaded, divided as the run wants it.

        Raises:
            DataError: a split's pictures or labels are not those that the run was begun with.
        """
        divided, *names = divide(data, self.division, self.seed)
        wanted = self.facts()["data_sha256"]
        for name in names:
            if divided.split(name).sha256() != wanted.get(name):
                raise DataError(f"{data.source}: split {name} is not the data that {self.folder} was begun with")
        return divided


def check_free(folder: Path) -> None:
    """Refuse early what `create_run` would refuse; nothing is made.

    Raises:
        UsageError: the folder already holds a run, or it cannot be made or written to.
    """
    if (folder / "run.json").exists():
        resume = shlex.join(["--resume", str(folder)])
        raise UsageError(f"{folder} already holds a run; continue it with {resume}, or name another")
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise UsageError(f"run folder {folder} cannot be made ({nearest} is a file); name another")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(f"run folder {folder} cannot be made ({nearest} is not writable); name another")


def _first_weights(recipe: Recipe) -> dict[str, str]:
    path = recipe.model.get("weights")
    if not path:
        return {}
    try:
        return {"first_weights_sha256": sha256_of(Path(path))}
    except OSError as error:
        raise DataError(
            f"weight file {path} cannot be read ({error.strerror}); name another in model.weights"
        ) from error


def create_run(
    folder: Path,
    recipe: Recipe,
    data: Dataset,
    *,
    seed: int,
    division: str = USAGE,
    threads: int | None = None,
    networks: Mapping[str, Path] = MappingProxyType({}),
    converted: Mapping[str, keras.Model] = MappingProxyType({}),
) -> Run:
    """Make a new run folder for `data` as it was loaded, with a copy of each of the `networks` it builds on.

    Args:
        networks: by role, `.keras` files and model files.
        converted: by role, the networks of those that are model files (`fer_train.model_files`).

    Raises:
        UsageError: the folder already holds a run or cannot be made, or `division` is unknown.
        DataError: a split would be empty.
    """
    if len(data.labels) < 2:
        raise DataError(f"{data.source} has only one class, {', '.join(data.labels)}; a network needs at least two")
    divided, training, validation = divide(data, division, seed)
    facts = {
        "recipe": recipe.to_dict(),
        "recipe_sha256": recipe.sha256(),
        **_first_weights(recipe),
        "seed": seed,
        "threads": threads,
        "labels": list(data.labels),
        "data": data.source,
        "sources": list(data.paths),
        "reading": data.reading.to_dict() if data.reading else None,
        "division": division,
        "splits": {"training": training, "validation": validation},
        "counts": divided.counts(),
        "copies": copies(divided.split(training), divided.split(validation)),
        "data_sha256": {name: split.sha256() for name, split in divided.splits.items()},
        "versions": versions(),
    }
    # As late as can be: hashing the data takes long enough for another training to take the folder.
    check_free(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for role, weights in networks.items():
            # A copy of its own: the run it comes from may go on, or go.
            copy = folder / f"{role}.keras"
            with replacing(copy, suffix=".keras") as temporary:
                if role in converted:
                    converted[role].save(temporary)
                else:
                    shutil.copyfile(weights, temporary)
            made_by, known = run_of(weights), labels_of(weights)
            facts[role] = {
                "weights": str(weights),
                "sha256": sha256_of(copy),
                "labels": list(known) if known else None,
                "set_aside": made_by.set_aside() if made_by else None,
            }
        write_text(folder / "run.json", json.dumps(facts, indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"run folder {folder} cannot be made ({error.strerror}); name another") from error
    return open_run(folder)


def run_of(weights: Path) -> Run | None:
    """The run that made the weights in a file; None for a file on its own.

    Raises:
        UsageError: the folder's `run.json` cannot be read.
    """
    # Its teacher and its start lie in a run's folder, too; another run made them.
    in_run = weights.name in (WEIGHTS, LAST) and (weights.parent / "run.json").is_file()
    return open_run(weights.parent) if in_run else None


def labels_of(weights: Path) -> tuple[str, ...] | None:
    """What the outputs of the network in a file mean; None for a `.keras` file on its own, which does not say.

    Raises:
        ModelFileError: it is a model file that is damaged or does not say what it is made of.
    """
    if weights.suffix == model_files.SUFFIX:
        return model_files.read(weights).labels
    run = run_of(weights)
    return run.labels if run else None


def open_run(folder: Path) -> Run:
    """Read a run folder.

    Raises:
        UsageError: it is no run folder.
    """
    try:
        facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        splits = facts["splits"]
        return Run(
            folder,
            from_dict(facts["recipe"]),
            facts["seed"],
            splits["training"],
            splits["validation"],
            facts.get("division", USAGE),
            tuple(facts["labels"]),
            facts["data"],
            tuple(map(Path, facts.get("sources") or [facts["data"]])),
            Reading.from_dict(facts.get("reading") or {}),
            facts.get("threads"),
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{folder} is not a run folder of fer-train ({error}); give one that holds run.json"
        ) from error


def versions() -> dict[str, str]:
    """Versions of everything the numbers depend on."""
    import keras

    found = {"python": platform.python_version(), "machine": platform.machine(), "backend": keras.backend.backend()}
    for package in ("fer-edge", "keras", "tensorflow", "tensorflow-cpu", "jax", "numpy", "opencv-python-headless"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
