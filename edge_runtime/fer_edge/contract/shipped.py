"""The model files that come with the package."""

from __future__ import annotations

from pathlib import Path

SHIPPED = ("mini", "plus")
"""Names of the int8 models that come with the package: the default, and a larger one for a Raspberry Pi 5."""


def shipped_model(name: str = SHIPPED[0]) -> Path:
    """An int8 model that comes with the package, one of `SHIPPED`."""
    return Path(__file__).parent.parent / "models" / f"{name}.int8.tflite"


def model_path(setting: str) -> Path:
    """The model file that the setting `model` names: a shipped one, a file's path, or by default `mini`."""
    return shipped_model(setting or SHIPPED[0]) if setting in ("", *SHIPPED) else Path(setting)
