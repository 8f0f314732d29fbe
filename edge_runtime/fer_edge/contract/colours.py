"""One colour for each expression, the same on the live page, in recordings and in plots."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from types import MappingProxyType

VERMILION, GREEN, PURPLE, YELLOW = "#D55E00", "#009E73", "#CC79A7", "#F0B429"
BLUE, SKY, GREY, ORANGE = "#0072B2", "#56B4E9", "#9A9A9A", "#E69F00"

LABEL_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "angry": VERMILION,
        "disgust": GREEN,
        "fear": PURPLE,
        "happy": YELLOW,
        "sad": BLUE,
        "surprise": SKY,
        "neutral": GREY,
    }
)
"""Okabe and Ito's palette (jfly.uni-koeln.de/color), which colour-blind people tell apart; its yellow is
darkened so that it holds on white too."""

_OTHERS = (ORANGE, *LABEL_COLOURS.values())


def label_colours(labels: Iterable[str]) -> dict[str, str]:
    """A colour (`#RRGGBB`) for each label; others than FER2013's take what is left of the palette, then all in turn."""
    labels = tuple(labels)
    taken = {LABEL_COLOURS[label] for label in labels if label in LABEL_COLOURS}
    others = (label for label in labels if label not in LABEL_COLOURS)
    free = itertools.chain((colour for colour in _OTHERS if colour not in taken), itertools.cycle(_OTHERS))
    found = dict(zip(others, free, strict=False))
    return {label: LABEL_COLOURS.get(label) or found[label] for label in labels}
