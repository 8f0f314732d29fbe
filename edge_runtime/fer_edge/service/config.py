"""Settings: defaults, then one TOML file, then `FER_EDGE_*` variables, then flags."""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import re
import reprlib
import socket
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_edge.contract.errors import ConfigError, UsageError
from fer_edge.contract.redaction import redact

MAX_FILE_BYTES = 1_000_000
"""Of a settings file; it has some dozens of lines."""

MAX_SHOWN = 10
"""Mistakes that are named at once; a file with more is not one of settings."""

ENVIRONMENT_PREFIX = "FER_EDGE_"
_SECRETS = ("MQTT_PASSWORD", "MQTT_KEY_PASSWORD", "WEBHOOK_TOKEN", "METRICS_TOKEN", "PREVIEW_TOKEN")
_CREDENTIALS = ("MQTT_USER", "MQTT_CA", "MQTT_CERT", "MQTT_KEY", *_SECRETS, *(f"{name}_FILE" for name in _SECRETS))
CREDENTIALS = tuple(ENVIRONMENT_PREFIX + name for name in _CREDENTIALS)
"""Variables that are no settings; the part that needs them reads them."""

PREVIEW_ADDRESS = "127.0.0.1:8808"
"""Where `--preview` alone serves the live page."""

METRICS_ADDRESS = "127.0.0.1:9808"
"""Where `--metrics` alone serves them."""


def setting(default: Any, about: str, **rules: Any) -> Any:
    """A field with its description and its JSON Schema rules."""
    about_and_rules = {"about": about, "rules": rules}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=about_and_rules)
    return field(default=default, metadata=about_and_rules)


_SIZE = r"^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything `fer-edge run` can be told; the metadata of each field is its documentation."""

    source: str = setting("auto", "auto, picamera2, 0, /dev/video0, /dev/v4l/…, FILE, FOLDER, URL or demo", minLength=1)
    detector: str = setting("auto", "auto is yunet where its weights are installed", enum=["auto", "haar", "yunet"])
    model: str = setting("", "mini, plus (larger) or a model file; empty is what was installed, or mini")
    publish: list[str] = setting(["-"], "-, file:PATH, mqtt(s)://HOST/TOPIC, https://URL, gpio:PIN=LABEL or exec:CMD")
    device: str = setting("", "name in every event; empty is the host's name", maxLength=64)
    size: str = setting("640x480", "picture asked of a camera, WIDTHxHEIGHT in pixels", pattern=_SIZE)
    fps: float | None = setting(None, "frame rate asked of a camera, 1/s", exclusiveMinimum=0, maximum=240)
    rotate: int = setting(0, "degrees clockwise", enum=[0, 90, 180, 270])
    flip: str = setting("", "h mirrors, v turns upside down", enum=["", "h", "v", "hv"])
    roi: str = setting("", "X,Y,W,H: look only there, pixels", pattern=r"^([0-9]+,[0-9]+,[1-9][0-9]*,[1-9][0-9]*)?$")
    every_frame: bool = setting(False, "publish frames without faces too")
    max_frames: int | None = setting(None, "end after so many frames", minimum=1)
    max_fps: float | None = setting(None, "live frames looked at per second, at most", minimum=0.1, maximum=240)
    idle_fps: float | None = setting(None, "frame rate while nobody is there", minimum=0.1, maximum=240)
    idle_after_s: float = setting(30.0, "nobody seen for so long is nobody there, seconds", minimum=0, maximum=86400)
    detect_width: int = setting(512, "width YuNet scans at, pixels", minimum=96, maximum=1920)
    min_face: int = setting(24, "smallest face, pixels of the frame", minimum=16, maximum=2000)
    look_interval_s: float = setting(0.07, "time between looks for a known face, seconds", minimum=0, maximum=1)
    scan_interval_s: float = setting(1.0, "longest time between scans, faces known, seconds", minimum=0, maximum=10)
    sightings: int = setting(2, "a face is reported from this sighting on, a sure one at once", minimum=1, maximum=100)
    misses: int = setting(15, "a face is gone after so many frames without it", minimum=0, maximum=1000)
    time_constant_s: float = setting(0.5, "smoothing of the probabilities, seconds", minimum=0, maximum=60)
    dwell_s: float = setting(0.3, "a new label has to lead so long, seconds", minimum=0, maximum=60)
    lead: float = setting(0.1, "by how much it has to lead", minimum=0, maximum=1)
    min_confidence: float = setting(0.4, "below this a face is uncertain", minimum=0, maximum=1)
    preview: str = setting("", "ADDR:PORT of the live page; empty serves none", pattern=r"^(\S*:[0-9]{1,5})?$")
    preview_name: str = setting("", "host name under which the live page is reached too", maxLength=253)
    preview_picture: str = setting(
        "picture", "the most that the live page may show", enum=["picture", "blurred", "boxes", "off"]
    )
    metrics: str = setting("", "ADDR:PORT of Prometheus metrics; empty serves none", pattern=r"^(\S*:[0-9]{1,5})?$")
    record: str = setting("", "Matroska file to record what is seen into; empty records nothing")
    record_style: str = setting("plain", "recorded frames as they are, or with boxes", enum=["plain", "annotated"])
    threads: int = setting(1, "threads of detector and classifier, each", minimum=1, maximum=16)
    scan_threads: int = setting(2, "threads of YuNet's scans; no more than cores", minimum=1, maximum=16)

    @property
    def size_pixels(self) -> tuple[int, int]:
        """Width and height of `size`."""
        width, height = self.size.split("x")
        return int(width), int(height)

    @property
    def roi_pixels(self) -> tuple[int, int, int, int] | None:
        """x, y, width and height of `roi`."""
        if not self.roi:
            return None
        x, y, width, height = (int(part) for part in self.roi.split(","))
        return x, y, width, height

    @property
    def device_name(self) -> str:
        """`device`, or the host's name."""
        return self.device or socket.gethostname()


FIELDS = {f.name: f for f in dataclasses.fields(Settings)}
_DEFAULTS = Settings()


def load(
    path: Path | None = None, *, environment: Mapping[str, str] = os.environ, flags: Mapping[str, Any] | None = None
) -> Settings:
    """Settings from all places; later ones win.

    Args:
        path: a TOML file, or None.
        environment: variables, of which those beginning with FER_EDGE_ count.
        flags: values given on the command line; None means not given.

    Raises:
        ConfigError: keys are unknown or values unusable; the message has a line for each, with place, key and value.
        UsageError: the same in `flags`, where the first counts.
    """
    given = [] if path is None else [(key, value, str(path)) for key, value in _read_toml(path).items()]
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in CREDENTIALS:
            continue
        key = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        meant = difflib.get_close_matches(key.upper(), _CREDENTIALS, n=1, cutoff=0.8)
        if meant and key not in FIELDS:
            wrong.append(f"variable {variable} is not known; did you mean {ENVIRONMENT_PREFIX}{meant[0]}?")
        else:
            given.append((key, _from_text(key, text), f"variable {variable}"))
    for key, value, where in given:
        try:
            values[key] = _checked(key, value, where)
        except ConfigError as error:
            wrong.append(str(error))
    if wrong:
        raise together(wrong)
    for key, value in (flags or {}).items():
        if value is not None:
            try:
                values[key] = _checked(key, value, f"flag --{key.replace('_', '-')}")
            except ConfigError as error:
                raise UsageError(str(error)) from error
    return Settings(**values)


def together(wrong: Sequence[str]) -> ConfigError:
    """One error of several sentences, a line each, so that a file is mended in one go."""
    more = [f"and {len(wrong) - MAX_SHOWN} more"] if len(wrong) > MAX_SHOWN else []
    return ConfigError("\n".join([*wrong[:MAX_SHOWN], *more]))


def shown(settings: Settings) -> dict[str, Any]:
    """Settings as plain values, without passwords."""
    values = dataclasses.asdict(settings)
    values["source"] = redact(settings.source)
    values["publish"] = [_shown_sink(sink) for sink in settings.publish]
    return values


def _shown_sink(spec: str) -> str:
    scheme, _, rest = spec.partition(":")
    if scheme in ("http", "https"):  # many services take their secret in the path
        return "/".join(redact(spec).split("/")[:3]) + "/…"
    if scheme == "exec" and len(rest.split()) > 1:
        return f"exec:{rest.split()[0]} …"
    return redact(spec)


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the TOML file, made from the fields."""
    properties = {}
    for name, f in FIELDS.items():
        default = getattr(_DEFAULTS, name)
        entry: dict[str, Any] = {"description": f.metadata["about"], "type": _json_type(f)}
        if entry["type"] == "array":
            entry |= {"items": {"type": "string", "minLength": 1}, "minItems": 1}
        if default is not None:
            entry["default"] = default
        properties[name] = entry | f.metadata["rules"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "fer-edge settings",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ConfigError(f"settings file {path} has more than {MAX_FILE_BYTES} bytes; give a TOML file")
        return tomllib.loads(data.decode("utf-8-sig"))  # some editors begin with a byte-order mark
    except OSError as error:
        raise ConfigError(f"settings file {path} cannot be read ({error.strerror}); check the path") from error
    except ConfigError:
        raise
    except (ValueError, RecursionError) as error:  # tomllib passes on what int() and deep nesting raise
        raise ConfigError(f"settings file {path} is not valid TOML: {error}") from error


def _json_type(f: dataclasses.Field[Any]) -> str:
    kinds = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "list[str]": "array"}
    return kinds[str(f.type).removesuffix(" | None")]


def _checked(key: str, value: Any, where: str) -> Any:
    if key not in FIELDS:
        close = difflib.get_close_matches(key, FIELDS, n=1)
        hint = f"did you mean {close[0]}?" if close else "see fer-edge config schema"
        raise ConfigError(f"{where}: {key} is not a setting; {hint}")
    f = FIELDS[key]
    kind = _json_type(f)
    whole = isinstance(value, int) and not isinstance(value, bool)
    number = whole or (isinstance(value, float) and math.isfinite(value))
    fits = {
        "string": isinstance(value, str),
        "integer": whole or (number and value.is_integer()),
        "number": number,
        "boolean": isinstance(value, bool),
        "array": isinstance(value, list) and bool(value) and all(isinstance(v, str) and v for v in value),
    }[kind]
    if not fits:
        needed = {
            "integer": "a whole number",
            "array": "a list of texts, none of them empty",
            "boolean": "true or false",
        }
        raise ConfigError(f"{where}: {key} is {_quoted(value)}; it must be {needed.get(kind, f'a {kind}')}")
    for rule, limit in f.metadata["rules"].items():
        if _BROKEN[rule](value, limit):
            raise ConfigError(
                f"{where}: {key} is {_quoted(value)}; it must be {_WORDS[rule].format(limit)}: {f.metadata['about']}"
            )
    return int(value) if kind == "integer" else value


def _quoted(value: Any) -> str:
    """A value as a message may show it: short, and without a password."""
    if isinstance(value, str):
        return reprlib.repr(_shown_sink(value))
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a table"
    try:
        return reprlib.repr(value)
    except ValueError:  # an int of more digits than Python prints
        return "a number of thousands of digits"


_BROKEN: dict[str, Callable[[Any, Any], bool]] = {
    "minimum": lambda value, limit: value < limit,
    "exclusiveMinimum": lambda value, limit: value <= limit,
    "maximum": lambda value, limit: value > limit,
    "minLength": lambda value, limit: len(value) < limit,
    "maxLength": lambda value, limit: len(value) > limit,
    "enum": lambda value, limit: value not in limit,
    "pattern": lambda value, limit: re.fullmatch(limit, value) is None,
}
"""JSON Schema's rules that the fields use."""

_WORDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters long",
    "maxLength": "at most {} characters long",
    "enum": "one of {}",
    "pattern": "written otherwise",
}


def _from_text(key: str, text: str) -> Any:
    if key not in FIELDS:
        return text
    kind = _json_type(FIELDS[key])
    if kind == "boolean":
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(text.lower(), text)
    if kind == "array":
        return text.split()
    if kind in ("integer", "number"):
        try:
            return float(text)
        except ValueError:
            return text
    return text
