"""How a data set is to be read: which labels, which pictures, which grey levels."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_edge.contract.errors import UsageError
from fer_edge.contract.grey import BT601, GREYS

SIDE = 48
"""Width and height of a FER2013 picture in pixels."""

FER2013, FERPLUS, FERPLUS_SOFT, BLEND = "fer2013", "ferplus", "ferplus-soft", "blend"
COPIES, LEAKS, NO_FACE = "copies", "leaks", "no-face"
CLEANINGS = (COPIES, LEAKS, NO_FACE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a data set is read; the defaults take FER2013 as it is.

    Attributes:
        labels: `fer2013`: the labels of the files. `ferplus`: the FER+ majority, eight classes.
            `ferplus-soft`: the same, with the distribution of the FER+ votes as training target. `blend:W`:
            FER2013's classes, with (1 - W) of the file's label and W of the votes as training target, 0 < W < 1.
        votes: path of `fer2013new.csv`; where it is empty, the file of that name beside the data.
        label_map: new name of a class, by its name or the name of its folder; pictures of a class whose new
            name is empty are left out.
        clean: what is taken out of the training pictures: `copies` of one another, `leaks` (copies of
            pictures in another split), `no-face` (what FER+ marks as such).
        grey: how colour becomes grey, one of `fer_edge.contract.grey.GREYS`.
        side: width and height that pictures are brought to, in pixels.
    """

    labels: str = FER2013
    votes: str = ""
    label_map: Mapping[str, str] = field(default_factory=dict)
    clean: tuple[str, ...] = ()
    grey: str = BT601
    side: int = SIDE

    def __post_init__(self) -> None:
        blend_weight(self.labels)
        for part in self.clean:
            if part not in CLEANINGS:
                raise UsageError(f"--clean {part} is unknown; it can be any of {','.join(CLEANINGS)}")
        if self.grey not in GREYS:
            raise UsageError(f"--grey {self.grey} is unknown; it can be {' or '.join(GREYS)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `Reading.from_dict` takes them back."""
        return {**dataclasses.asdict(self), "label_map": dict(self.label_map), "clean": list(self.clean)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Reading:
        """The inverse of `to_dict`."""
        return cls(**{**values, "clean": tuple(values.get("clean", ()))})


def blend_weight(labels: str) -> float:
    """Share of the votes in the targets of `blend:W`; 0 for the other kinds of labels.

    Raises:
        UsageError: `labels` is none of the kinds, or W is not between 0 and 1.
    """
    kind, _, share = labels.partition(":")
    if kind == BLEND:
        try:
            weight = float(share)
        except ValueError:
            weight = 0.0
        if 0.0 < weight < 1.0:
            return weight
    elif labels in (FER2013, FERPLUS, FERPLUS_SOFT):
        return 0.0
    raise UsageError(
        f"labels {labels!r} are unknown; they can be {FER2013}, {FERPLUS}, {FERPLUS_SOFT}, or {BLEND}:0.4 for "
        "four tenths of the FER+ votes"
    )


def read_label_map(path: Path) -> dict[str, str]:
    """Read a label map: a TOML file of lines `folder-or-class = "label"`; an empty label leaves a class out.

    Raises:
        UsageError: it cannot be read, is no TOML, or holds something else.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"label map {path} cannot be read ({error.strerror}); give the path of a TOML file") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"label map {path} cannot be read as TOML ({error})") from error
    for name, label in values.items():
        if not isinstance(label, str):
            raise UsageError(f'label map {path}: {name} is {label!r}; it must be a label in quotes, or "" to leave out')
    return {name.lower(): label for name, label in values.items()}
