"""Network architectures, one file each, by the name a recipe gives."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from fer_edge.contract.errors import DataError, UsageError
from fer_train.models.mini_xception import mini_xception

ARCHITECTURES: dict[str, Callable[..., keras.Model]] = {"mini_xception": mini_xception}


def build(architecture: str, **options: Any) -> keras.Model:
    """Build the network called `architecture`.

    Raises:
        UsageError: no architecture has that name, or it has no such option or value.
    """
    if architecture not in ARCHITECTURES:
        raise UsageError(f"architecture {architecture!r} is unknown; there is {', '.join(sorted(ARCHITECTURES))}")
    function = ARCHITECTURES[architecture]
    known = inspect.signature(function).parameters
    for key in options:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; it has {', '.join(known)}"
            raise UsageError(f"architecture {architecture} has no option {key!r}{hint}")
    try:
        return function(**options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"architecture {architecture} cannot be built with {options} ({error})") from error


def load(path: Path, *, compiled: bool = False) -> keras.Model:
    """Read a network from a `.keras` file; `compiled` brings its optimizer and loss back too.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        return keras.saving.load_model(path, compile=compiled)
    # Keras raises whatever the damage leads it to.
    except Exception as error:
        raise DataError(f"{path} cannot be read as a Keras model ({error}); copy it again or train anew") from error
