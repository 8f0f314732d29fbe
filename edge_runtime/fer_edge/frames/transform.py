"""Rotation, mirroring and region of interest, the same for every source."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_edge.contract.errors import ConfigError
from fer_edge.frames.options import SourceOptions
from fer_edge.records import Frame
from fer_edge.seams import FrameSource


class Transformed:
    """A source whose frames are rotated, then mirrored, then cut to a region.

    Turning and mirroring cost one copy into a buffer that is used again; the region is a view.
    """

    def __init__(self, source: FrameSource, options: SourceOptions) -> None:
        self.source = source
        self._roi = options.roi
        # Each of the eight orientations is a transposition or not, then mirroring along x, y, or both.
        mirror_x = (options.rotate in (90, 180)) != ("h" in options.flip)
        mirror_y = (options.rotate in (180, 270)) != ("v" in options.flip)
        self._transpose = options.rotate in (90, 270)
        self._mirror = {(False, False): None, (True, False): 1, (False, True): 0, (True, True): -1}[mirror_x, mirror_y]
        self._image: NDArray[np.uint8] | None = None
        self._small: NDArray[np.uint8] | None = None

    @property
    def dropped(self) -> int:
        """As the source's."""
        return self.source.dropped

    def read(self) -> Frame | None:
        """The next frame, transformed; None at the end.

        Raises:
            ConfigError: the region leaves the frame.
            SourceError, TimeoutError: as the source does.
        """
        frame = self.source.read()
        if frame is None:
            return None
        image = self._image = self._orient(frame.image, self._image)
        small = self._small = None if frame.small is None else self._orient(frame.small, self._small)
        if self._roi is None:
            return dataclasses.replace(frame, image=image, small=small)
        x, y, width, height = self._roi
        full_height, full_width = image.shape[:2]
        if x + width > full_width or y + height > full_height:
            raise ConfigError(
                f"roi {x},{y},{width},{height} leaves the frame of {frame.name or frame.source}, which has "
                f"{full_width}x{full_height} pixels; choose one within it"
            )
        return dataclasses.replace(
            frame,
            image=image[y : y + height, x : x + width],
            small=None if small is None else _same_region(small, self._roi, full_width, full_height),
            offset=(x, y),
            full_size=(full_width, full_height),
        )

    def close(self) -> None:
        """Close the source; may be called twice."""
        self.source.close()

    def _orient(self, image: NDArray[np.uint8], buffer: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        if not self._transpose and self._mirror is None:
            return image
        # OpenCV makes a new buffer where this one does not fit.
        turned = cv2.transpose(image, buffer) if self._transpose else image
        if self._mirror is not None:
            turned = cv2.flip(turned, self._mirror, turned if self._transpose else buffer)
        return turned.view(np.uint8)


def _same_region(
    small: NDArray[np.uint8], roi: tuple[int, int, int, int], full_width: int, full_height: int
) -> NDArray[np.uint8] | None:
    x, y, width, height = roi
    across, down = small.shape[1] / full_width, small.shape[0] / full_height
    view = small[round(y * down) : round((y + height) * down), round(x * across) : round((x + width) * across)]
    return view if view.size else None
