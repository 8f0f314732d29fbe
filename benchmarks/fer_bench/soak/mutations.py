"""Mutated model files and settings: none crashes, none is accepted that should not be."""

from __future__ import annotations

import dataclasses
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from fer_bench.soak import attempts
from fer_edge.contract import model_file
from fer_edge.contract.errors import ConfigError, MissingExtraError, ModelFileError
from fer_edge.contract.shipped import shipped_model
from fer_edge.service import config

FULL = 2000
SEED = 5

SETTINGS = """\
source = "rtsp://user:secret@10.0.0.7/live"
detector = "auto"
publish = ["-", "file:/var/lib/fer-edge/events.jsonl", "mqtts://broker.example/home/kitchen"]
size = "640x480"
fps = 15.0
rotate = 180
roi = "160,120,320,240"
every_frame = true
min_confidence = 0.4
scan_interval_s = 1.0
threads = 1
"""
"""What is mutated: a setting of each type."""

_TOKENS = (
    "true", "-1", "1e400", "nan", "inf", "0x10", "9" * 5000, '"', "[", "]" * 3, "[" * 2000, "{", "}", "=", "\n", "#",
    "\0", "\\u0000", "1979-05-27T07:32:00Z", '""', "sorce", "publish", "rotate", "'''", "ä", "\ud83d\ude00", ".", ",",
)  # fmt: skip


def model_mutations(scale: float) -> dict[str, Any]:
    """Damage the shipped model file in many ways, and read it; what is refused here never reaches the runtime."""
    count = attempts(FULL, scale)
    original = shipped_model().read_bytes()
    rng = random.Random(SEED)
    outcomes: Counter[str] = Counter()
    for _ in range(count):
        mutated = original
        while mutated == original:
            mutated = _mutated_bytes(original, rng)
        outcomes[_outcome(mutated)] += 1
    return {"files": count, **{name: outcomes[name] for name in ("refused", "accepted", "crashed")}}


def _mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    at, start, length = rng.randrange(len(data)), rng.randrange(len(data)), 1 << rng.randrange(12)
    # The tables at both ends are few bytes that mean much.
    end = rng.choice((rng.randrange(512), len(data) - 1 - rng.randrange(512)))
    changes = (
        lambda: _flipped(data, rng),
        lambda: data[:at],
        lambda: data[:at] + rng.randbytes(length) + data[at:],
        lambda: data[:at] + bytes(length) + data[at + length :],
        lambda: data[:at] + data[at + length :],
        lambda: data[:at] + data[start : start + length] + data[at + length :],
        lambda: data[:end] + rng.randbytes(4) + data[end + 4 :],
    )
    return rng.choice(changes)()


def _flipped(data: bytes, rng: random.Random) -> bytes:
    flipped = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _outcome(data: bytes) -> str:
    """`refused`, `accepted` or `crashed`."""
    try:
        model_file.parse(data, "mutated.tflite")
    except ModelFileError:
        return "refused"
    except Exception:  # whatever else comes out of it would be a traceback for the user
        return "crashed"
    return "accepted"


def config_mutations(scale: float) -> dict[str, Any]:
    """Damage a settings file in many ways, and load it."""
    try:
        import jsonschema
    except ImportError as error:
        raise MissingExtraError("checking settings against their schema", "dev") from error
    count = attempts(FULL, scale)
    validator = jsonschema.Draft202012Validator(config.schema())
    rng = random.Random(SEED)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="fer-bench-") as folder:
        path = Path(folder) / "config.toml"
        for _ in range(count):
            path.write_bytes(_mutated_settings(rng))
            try:
                settings = config.load(path, environment={})
            except ConfigError as error:
                outcomes["refused"] += 1
                outcomes["passwords_shown"] += "secret" in str(error)
            except Exception:  # whatever else comes out of it would be a traceback for the user
                outcomes["crashed"] += 1
            else:
                given = {key: value for key, value in dataclasses.asdict(settings).items() if value is not None}
                fits = validator.is_valid(given)
                outcomes["accepted_by_schema" if fits else "accepted_against_schema"] += 1
                outcomes["passwords_shown"] += "secret" in str(config.shown(settings)["source"])
    names = ("refused", "accepted_by_schema", "accepted_against_schema", "crashed", "passwords_shown")
    return {"files": count, **{name: outcomes[name] for name in names}}


def _mutated_settings(rng: random.Random) -> bytes:
    data = SETTINGS.encode()
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            token = rng.choice(_TOKENS).encode("utf-8", "surrogatepass")
            data = data[:at] + token + data[at:]
        elif kind == 1:
            data = data[:at] + data[at + rng.randrange(1, 12) :]
        elif kind == 2:
            data = data[:at] + rng.randbytes(1) + data[at + 1 :]
        else:
            lines = data.split(b"\n")
            key, sign, _ = lines[rng.randrange(len(lines))].partition(b"=")
            lines[rng.randrange(len(lines))] = key + sign + rng.choice(_TOKENS).encode("utf-8", "surrogatepass")
            data = b"\n".join(lines)
    return data
