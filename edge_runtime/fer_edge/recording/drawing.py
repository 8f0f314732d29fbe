"""Boxes and labels drawn into a picture, for recordings that are watched without the live page."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.records import FrameResult

_FONT = cv2.FONT_HERSHEY_SIMPLEX


def annotated(
    image: NDArray[np.uint8], result: FrameResult, *, offset: tuple[int, int], colours: Mapping[str, str]
) -> NDArray[np.uint8]:
    """The picture with a box around each face, its id, stable label and that label's probability.

    Args:
        image: uint8, (height, width) or (height, width, 3) BGR; left as it is.
        result: of this frame.
        offset: x and y of the picture's corner in the full frame, pixels.
        colours: of each label, `#RRGGBB`.

    Returns:
        uint8, (height, width, 3) BGR.
    """
    drawn = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image.copy()
    scale = max(0.4, drawn.shape[0] / 800)
    thick = max(2, round(drawn.shape[0] / 240))
    for face in result.faces:
        x, y, width, height = (round(value) for value in face.box)
        x, y = x - offset[0], y - offset[1]
        colour = _bgr(colours.get(face.stable, "#FFFFFF"))
        text = f"#{face.id} {face.stable}"
        if face.stable in result.labels:
            text += f" {100 * float(face.probabilities[result.labels.index(face.stable)]):.0f}%"
        (text_width, text_height), below = cv2.getTextSize(text, _FONT, scale, thick)
        # Above the box, or inside where there is no room.
        top = y - text_height - below - 2 * thick
        top = top if top >= 0 else y
        cv2.rectangle(drawn, (x, y), (x + width, y + height), colour, thick, cv2.LINE_AA)
        cv2.rectangle(drawn, (x, top), (x + text_width + 4 * thick, top + text_height + below + 2 * thick), colour, -1)
        ink = (0, 0, 0) if np.dot(colour, (0.07, 0.72, 0.21)) > 110 else (255, 255, 255)
        cv2.putText(
            drawn, text, (x + 2 * thick, top + text_height + thick), _FONT, scale, ink, max(1, thick - 1), cv2.LINE_AA
        )
    return drawn.view(np.uint8)


def _bgr(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return blue, green, red
