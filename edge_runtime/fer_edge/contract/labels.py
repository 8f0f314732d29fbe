"""The expression labels and their order."""

from __future__ import annotations

FER2013_LABELS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""FER2013's own order: the integer in the `emotion` column is the index (Goodfellow et al. 2013,
arXiv:1307.0414)."""

UNCERTAIN = "uncertain"
"""The stable label while no expression leads clearly; never an output of a network."""


def checked_labels(labels: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Return `labels` as a tuple.

    Raises:
        ValueError: fewer than two, repeated, empty, not plain text, or a reserved name.
    """
    if not isinstance(labels, list | tuple):
        raise ValueError(f"labels are a list of names, got {labels!r}")
    names = tuple(labels)
    if len(names) < 2:
        raise ValueError(f"at least two labels are needed, got {list(names)}")
    for name in names:
        if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > 64:
            raise ValueError(f"label {name!r} is not a short printable text")
        if name == UNCERTAIN:
            raise ValueError(f"label {UNCERTAIN!r} is reserved for the smoothed result")
    if len(set(names)) != len(names):
        raise ValueError(f"labels are repeated: {list(names)}")
    return names
