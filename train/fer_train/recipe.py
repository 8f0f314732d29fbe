"""A recipe: everything a training run depends on besides the data, the seed and the versions."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import tomllib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from fer_edge.contract.errors import UsageError
from fer_train.augmentation import Augmentation


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How the weights are found.

    Attributes:
        epochs: passes over the training pictures.
        batch_size: pictures a step.
        optimizer: `adam` (Kingma and Ba 2015) or `adamw` (Loshchilov and Hutter 2019).
        learning_rate: the highest rate.
        schedule: `exponential`: learning_rate * decay ** epoch; `cosine`: half a cosine to zero.
        decay: factor an epoch, for `exponential`.
        warmup_epochs: the rate climbs from zero over so many epochs, for `cosine`.
        weight_decay: decoupled decay, for `adamw`.
        label_smoothing: share of the target spread over all classes (Szegedy et al. 2016).
    """

    epochs: int = 80
    batch_size: int = 32
    optimizer: str = "adam"
    learning_rate: float = 0.001
    schedule: str = "exponential"
    decay: float = 0.95
    warmup_epochs: float = 0.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        for name, allowed in (("optimizer", ("adam", "adamw")), ("schedule", ("exponential", "cosine"))):
            if getattr(self, name) not in allowed:
                raise UsageError(f"training.{name} is {getattr(self, name)!r}; it can be {' or '.join(allowed)}")
        for name, low in (("epochs", 1), ("batch_size", 1), ("learning_rate", 1e-9)):
            if getattr(self, name) < low:
                raise UsageError(f"training.{name} is {getattr(self, name)}; it must be at least {low}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A named recipe.

    Attributes:
        name: the file's name without its ending.
        title: one line for people.
        source: the paper or code that describes it.
        published_accuracy: the source's own figure in percent, or None; never one of ours.
        model: `architecture` and its options.
        training: schedule and optimizer.
        augmentation: random changes of the training pictures.
    """

    name: str
    title: str = ""
    source: str = ""
    published_accuracy: float | None = None
    model: dict[str, Any] = field(default_factory=dict)
    training: Training = field(default_factory=Training)
    augmentation: Augmentation = field(default_factory=Augmentation)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, for JSON."""
        return dataclasses.asdict(self)

    def sha256(self) -> str:
        """Hash of what the recipe says, whatever its file looks like."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def shipped() -> list[str]:
    """Names of the recipes in this package."""
    folder = resources.files("fer_train") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load(name_or_path: str) -> Recipe:
    """Read a shipped recipe by name, or any recipe by the path of its .toml file.

    Raises:
        UsageError: there is no such recipe, or a key or value in it is wrong.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        if not path.is_file():
            raise UsageError(f"recipe {path} does not exist")
        text, name = path.read_text(), path.stem
    elif name_or_path in shipped():
        text, name = (resources.files("fer_train") / "recipes" / f"{name_or_path}.toml").read_text(), name_or_path
    else:
        raise UsageError(f"recipe {name_or_path!r} is unknown{_nearest(name_or_path, shipped())}; see fer-train --list")
    try:
        return from_dict({"name": name, **tomllib.loads(text)})
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"recipe {name} is not valid TOML: {error}") from error


def from_dict(values: dict[str, Any]) -> Recipe:
    """Make a recipe of plain values; the inverse of `Recipe.to_dict`.

    Raises:
        UsageError: a key is unknown or a value has the wrong type.
    """
    known = dict(values)
    for key, kind in (("training", Training), ("augmentation", Augmentation)):
        known[key] = _section(kind, known.get(key, {}), f"{key}.")
    if "architecture" not in known.get("model", {}):
        raise UsageError(f"recipe {values.get('name')} names no model.architecture")
    return _section(Recipe, known, "")


def _section(kind: type, values: dict[str, Any], prefix: str) -> Any:
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for key, value in values.items():
        if key not in fields:
            raise UsageError(f"recipe key {prefix}{key} is unknown{_nearest(key, fields)}")
        wanted = str(fields[key].type)
        right = {
            "int": isinstance(value, int) and not isinstance(value, bool),
            "float": isinstance(value, int | float) and not isinstance(value, bool),
            "bool": isinstance(value, bool),
            "str": isinstance(value, str),
        }.get(wanted, True)
        if not right:
            raise UsageError(f"recipe key {prefix}{key} is {value!r}; it must be of type {wanted}")
    return kind(**values)


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
