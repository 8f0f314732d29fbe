"""Network architectures, one file each, by the name a recipe gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from fer_edge.contract.errors import UsageError
from fer_train.models.mini_xception import mini_xception

ARCHITECTURES: dict[str, Callable[..., keras.Model]] = {"mini_xception": mini_xception}


def build(architecture: str, **options: Any) -> keras.Model:
    """Build the network called `architecture`.

    Raises:
        UsageError: no architecture has that name.
    """
    if architecture not in ARCHITECTURES:
        raise UsageError(f"architecture {architecture!r} is unknown; there is {', '.join(sorted(ARCHITECTURES))}")
    return ARCHITECTURES[architecture](**options)
