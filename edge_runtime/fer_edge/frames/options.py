"""How a source is asked to deliver."""

from __future__ import annotations

from dataclasses import dataclass

from fer_edge.contract.errors import ConfigError

ROTATIONS = (0, 90, 180, 270)
FLIPS = ("", "h", "v", "hv")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What is asked of a source, whichever it is.

    Attributes:
        size: width and height in pixels that cameras and the demo are asked for; None means 640x480.
            Files and streams come as they are.
        fps: frames per second that cameras and the demo are asked for; None leaves it to them.
        rotate: degrees clockwise: 0, 90, 180 or 270.
        flip: after rotating: "", "h" (left and right change places), "v" (top and bottom) or "hv".
        roi: x, y, width, height in pixels of the rotated and flipped frame; None looks at all of it.
        lores: width and height of the box that the camera's second, small stream has to fit into.

    Raises:
        ConfigError: a value is out of range.
    """

    size: tuple[int, int] | None = None
    fps: float | None = None
    rotate: int = 0
    flip: str = ""
    roi: tuple[int, int, int, int] | None = None
    lores: tuple[int, int] = (320, 240)

    def __post_init__(self) -> None:
        for name, size in (("size", self.size), ("lores", self.lores)):
            if size is not None and min(size) < 2:
                raise ConfigError(f"{name} {size[0]}x{size[1]} is too small; give WIDTHxHEIGHT, such as 640x480")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise ConfigError(f"fps {self.fps:g} is out of range; give more than 0 and at most 1000")
        if self.rotate not in ROTATIONS:
            raise ConfigError(f"rotate {self.rotate} is not one of 0, 90, 180, 270")
        if self.flip not in FLIPS:
            raise ConfigError(f"flip {self.flip!r} is not one of h, v, hv")
        if self.roi is not None and (min(self.roi[:2]) < 0 or min(self.roi[2:]) < 1):
            raise ConfigError(
                f"roi {','.join(map(str, self.roi))} is no region; give X,Y,W,H with X and Y from 0, W and H from 1"
            )

    @property
    def camera_size(self) -> tuple[int, int]:
        """Width and height in pixels to ask a camera for."""
        return self.size or (640, 480)
