"""Facial expression recognition at the edge: frames -> faces -> expressions -> events.

Importing this package loads neither OpenCV nor the TFLite runtime.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_edge.pipeline import Pipeline

__all__ = ["Pipeline", "__version__"]

__version__ = "0.1.0"

if sys.maxsize <= 2**32:
    raise ImportError(
        "fer-edge needs a 64-bit system: there are no 32-bit Arm wheels of numpy, OpenCV and LiteRT. "
        "On a Raspberry Pi 3, 4, 5 or Zero 2 W install the 64-bit Raspberry Pi OS."
    )


def __getattr__(name: str) -> Any:
    # PEP 562: what a model file's reader on a desktop does not need is loaded where it is asked for.
    if name == "Pipeline":
        from fer_edge.pipeline import Pipeline

        return Pipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
