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
        schedule: `exponential`: learning_rate * decay ** epoch; `inverse_time`: learning_rate /
            (1 + decay * step), which older Keras called decay; `cosine`: half a cosine to zero.
        decay: factor an epoch for `exponential`, or share a step for `inverse_time`.
        warmup_epochs: the rate climbs from zero over so many epochs, for `cosine`.
        weight_decay: decoupled decay, for `adamw`.
        gradient_clip: largest Euclidean norm of all gradients together; longer ones are shortened to it
            (Pascanu et al. 2013, arXiv:1211.5063); 0 clips none.
        label_smoothing: share of the target spread over all classes (Szegedy et al. 2016).
        mixup: alpha of the Beta distribution by which pairs of pictures and of targets are blended
            (Zhang et al. 2018, arXiv:1710.09412); 0 blends none.
        teacher: recipe of the network to learn from besides the labels (`fer_train.distillation`), or "".
        teacher_share: share of the target that is the teacher's answer; the labels have the rest.
        teacher_views: so many epochs of views the teacher answers, each with the mean of its answers to the view
            and its mirror image; later epochs see the same views and answers again, mirrored in every other
            round, which costs no more of the teacher's time. 0: it answers every view as it stands.
        start: recipe of the network whose weights a run begins with, the newest run of it on such data or the shipped
            model of that name, or "" for random ones.
        start_share: share of these weights in the network that a run ends with: the mean of them and of those after
            the last epoch, weighted by this (Wortsman et al. 2022, arXiv:2109.01903). 0 takes the best epoch.
        hold_out: share of the training pictures that is left aside; fer-convert fits the temperature on it, if it
            has 500 pictures and neither teacher nor start has learned it, directly or through its own.
        precision: Keras' dtype policy while training: `float32`, or `mixed_bfloat16`, which nearly halves
            the time of plain convolutions on processors with AVX512_BF16. The files hold float32.
    """

    epochs: int = 80
    batch_size: int = 32
    optimizer: str = "adam"
    learning_rate: float = 0.001
    schedule: str = "exponential"
    decay: float = 0.95
    warmup_epochs: float = 0.0
    weight_decay: float = 0.0
    gradient_clip: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    teacher: str = ""
    teacher_share: float = 0.0
    teacher_views: int = 0
    start: str = ""
    start_share: float = 0.0
    hold_out: float = 0.0
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name, allowed in (
            ("optimizer", ("adam", "adamw")),
            ("schedule", ("exponential", "inverse_time", "cosine")),
            ("precision", ("float32", "mixed_bfloat16")),
        ):
            if getattr(self, name) not in allowed:
                raise UsageError(
                    f"recipe key training.{name} is {getattr(self, name)!r}; it can be {' or '.join(allowed)}"
                )
        _check_ranges(
            "training",
            self,
            epochs=(1, 100_000),
            batch_size=(1, 65_536),
            learning_rate=(1e-9, 10.0),
            decay=(1e-12, 1.0),
            warmup_epochs=(0.0, 100_000.0),
            weight_decay=(0.0, 1.0),
            gradient_clip=(0.0, 1e6),
            label_smoothing=(0.0, 0.99),
            mixup=(0.0, 10.0),
            teacher_share=(0.0, 1.0),
            teacher_views=(0, 10_000),
            start_share=(0.0, 1.0),
            hold_out=(0.0, 0.5),
        )
        if bool(self.teacher) != bool(self.teacher_share):
            raise UsageError("recipe keys training.teacher and training.teacher_share need each other")
        for name, needed in (("teacher_views", "teacher"), ("start_share", "start")):
            if getattr(self, name) and not getattr(self, needed):
                raise UsageError(f"recipe key training.{name} needs training.{needed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What fer-convert makes of a run of this recipe, unless it is told otherwise.

    Attributes:
        weights: `best`: of the epoch with the highest validation accuracy, or the mean that
            `training.start_share` asks for; `last`: after the last epoch.
        mirror: average the logits of a picture and its mirror image, in twice the time.
    """

    weights: str = "best"
    mirror: bool = False

    def __post_init__(self) -> None:
        if self.weights not in ("best", "last"):
            raise UsageError(f"recipe key conversion.weights is {self.weights!r}; it can be best or last")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A named recipe.

    Attributes:
        name: the file's name without its ending.
        title: one line for people.
        source: the paper or code that describes it.
        published_accuracy: the source's own figure in percent, or None; never one of ours.
        published_on: the data that figure is of.
        side: width and height of the input in pixels.
        model: `architecture` and its options.
        training: schedule and optimizer.
        augmentation: random changes of the training pictures.
        conversion: what becomes of a run; of two recipes that train alike it may differ.
    """

    name: str
    title: str = ""
    source: str = ""
    published_accuracy: float | None = None
    published_on: str = "FER2013"
    side: int = 48
    model: dict[str, Any] = field(default_factory=dict)
    training: Training = field(default_factory=Training)
    augmentation: Augmentation = field(default_factory=Augmentation)
    conversion: Conversion = field(default_factory=Conversion, compare=False)

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
        text, name = path.read_text(encoding="utf-8", errors="replace"), path.stem
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
    for key, kind in (("training", Training), ("augmentation", Augmentation), ("conversion", Conversion)):
        known[key] = _section(kind, known.get(key, {}), f"{key}.")
    if "architecture" not in _table(known.get("model", {}), "model"):
        raise UsageError(f"recipe {values.get('name')} names no model.architecture")
    _check_ranges(
        "augmentation",
        known["augmentation"],
        rotation_degrees=(0.0, 180.0),
        shift=(0.0, 1.0),
        zoom=(0.0, 0.9),
        shear=(0.0, 1.0),
        contrast=(0.0, 1.0),
        brightness=(0.0, 1.0),
        erasing=(0.0, 1.0),
        darkness=(0.0, 1.0),
        blur=(0.0, 10.0),
        jpeg=(0, 100),
    )
    recipe: Recipe = _section(Recipe, known, "")
    if not 16 <= recipe.side <= 512:
        raise UsageError(f"recipe key side is {recipe.side}; it must be from 16 to 512")
    return recipe


def _table(value: Any, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"recipe key {key} is {value!r}; it must be a table")
    return value


def _check_ranges(section: str, values: Any, **ranges: tuple[float, float]) -> None:
    for name, (low, high) in ranges.items():
        value = getattr(values, name)
        if not low <= value <= high:  # refuses nan too
            raise UsageError(f"recipe key {section}.{name} is {value}; it must be from {low:g} to {high:g}")


def _section(kind: type, values: Any, prefix: str) -> Any:
    _table(values, prefix.rstrip("."))
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
            "float | None": value is None or (isinstance(value, int | float) and not isinstance(value, bool)),
        }.get(wanted, True)
        if not right:
            raise UsageError(f"recipe key {prefix}{key} is {value!r}; it must be of type {wanted}")
    return kind(**values)


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
