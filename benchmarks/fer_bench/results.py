"""Result files: one JSON object a measurement, described by `result.schema.json` beside this file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from fer_edge.contract.errors import DataError, UsageError
from fer_edge.contract.files import write_text

FORMAT = 1


def result(kind: str, environment: dict[str, Any], **content: Any) -> dict[str, Any]:
    """A result as it is written: `content` under what every result says.

    Args:
        kind: one of those in `result.schema.json`.
        environment: as `fer_bench.environment.environment` found it before the measurement.
        content: the keys that `result.schema.json` demands of this kind.
    """
    return {"format": FORMAT, "kind": kind, **environment, **content}


def check_writable(path: Path | None, *, option: str = "--json") -> None:
    """Refuse a file of a result that could not be written, before minutes are spent on its content.

    Raises:
        UsageError: its folder does not exist, or the path is a folder.
    """
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise UsageError(f"{option} {path} cannot be written: give a file in a folder that exists")


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a result atomically.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    except OSError as error:
        raise DataError(f"result {path} cannot be written ({error.strerror}); give --json another place") from error


def read(path: Path) -> dict[str, Any]:
    """Read a result.

    Raises:
        DataError: it is missing, or no result of this format.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise DataError(f"result {path} has format {content['format']!r} where {FORMAT} is read; measure again")
    except OSError as error:
        raise DataError(f"result {path} cannot be read ({error.strerror}); make it with fer-bench … --json") from error
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is not a result of fer-bench ({error!r}); make it with fer-bench … --json") from error
    return content


def letter(number: int) -> str:
    """What a table on the terminal calls the model with this number: A, B, C, …"""
    return chr(ord("A") + number) if number < 26 else f"#{number + 1}"


def legend(models: Sequence[dict[str, Any]], paths: Sequence[Path]) -> list[str]:
    """Lines that say which model has which letter.

    Args:
        models: of a result.
        paths: of the same files, as people gave them.
    """
    return [
        f"{letter(number)}  {path}  {facts['quantization']}, {facts['bytes'] / 1000:.1f} kB, {facts['sha256'][:12]}"
        for number, (facts, path) in enumerate(zip(models, paths, strict=True))
    ]


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of result files."""
    text = (resources.files("fer_bench") / "result.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded
