"""The board's temperature and throttling, from files the kernel keeps; no vcgencmd needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TEMPERATURE = Path("sys/class/thermal/thermal_zone0/temp")
THROTTLED = Path("sys/devices/platform/soc/soc:firmware/get_throttled")

_SLOWED_NOW = 0b1110
_UNDER_VOLTAGE_EVER = 1 << 0 | 1 << 16


@dataclass(frozen=True, slots=True)
class Health:
    """What the board says of itself.

    Attributes:
        temperature_c: degrees Celsius; None where no sensor is readable.
        throttled: the firmware's bit mask; None on boards without one. Bits 0 to 3 are now, 16 to 19
            since boot: under-voltage, frequency capped, throttled, soft temperature limit
            (raspberrypi.com/documentation/computers/os.html, get_throttled).
    """

    temperature_c: float | None
    throttled: int | None

    @property
    def slowed(self) -> bool:
        """The processor runs slower than it could, right now."""
        return bool((self.throttled or 0) & _SLOWED_NOW)

    @property
    def under_voltage(self) -> bool:
        """The supply was too weak at some time since boot."""
        return bool((self.throttled or 0) & _UNDER_VOLTAGE_EVER)


def read_health(root: Path = Path("/")) -> Health:
    """Read the board's state below `root`; what cannot be read is None."""
    millidegrees = _number(root / TEMPERATURE, base=10)
    return Health(None if millidegrees is None else millidegrees / 1000, _number(root / THROTTLED, base=16))


def _number(path: Path, *, base: int) -> int | None:
    try:
        return int(path.read_text().strip(), base)
    except (OSError, ValueError):
        return None
