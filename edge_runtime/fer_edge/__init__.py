"""Facial expression recognition at the edge: frames -> faces -> expressions -> events.

Importing this package loads neither OpenCV nor the TFLite runtime.
"""

import sys

__version__ = "0.1.0"

if sys.maxsize <= 2**32:
    raise ImportError(
        "fer-edge needs a 64-bit system: there are no 32-bit Arm wheels of numpy, OpenCV and LiteRT. "
        "On a Raspberry Pi 3, 4, 5 or Zero 2 W install the 64-bit Raspberry Pi OS."
    )
