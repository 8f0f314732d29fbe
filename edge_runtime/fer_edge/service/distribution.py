"""The fer-edge that is running, so that the service gets the same one: where it came from, what it runs on."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fer_edge.contract.errors import ServiceError
from fer_edge.service.config import Settings

NAME = "fer-edge"

EXTRAS = {"mqtt": "paho", "metrics": "prometheus_client", "gpio": "gpiozero"}
"""The extras of the runtime, and the module by which each is known to be installed."""

FIRST_PYTHON, LAST_PYTHON = (3, 11), (3, 13)
"""Versions of Python that are tested."""

_HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"))
_SYSTEM_PYTHON = Path("/usr/bin/python3")


def needed_extras(settings: Settings) -> set[str]:
    """The extras without which these settings cannot work."""
    schemes = {re.split(r"[:?#]", spec, maxsplit=1)[0] for spec in settings.publish}
    needed = {{"mqtts": "mqtt"}.get(scheme, scheme) for scheme in schemes}
    if getattr(settings, "metrics", ""):
        needed.add("metrics")
    return needed & EXTRAS.keys()


def installed_extras() -> set[str]:
    """The extras of the runtime that are installed."""
    return {extra for extra, module in EXTRAS.items() if importlib.util.find_spec(module) is not None}


def requirement(extras: Iterable[str]) -> str:
    """What pip has to be told to install this very fer-edge elsewhere (PEP 508, PEP 610), with `extras`."""
    distribution = metadata.distribution(NAME)
    wanted = f"[{','.join(sorted(extras))}]" if extras else ""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    url = str(origin.get("url", ""))
    if url.startswith("file:"):
        return unquote(urlsplit(url).path) + wanted
    if "vcs_info" in origin:
        return f"{NAME}{wanted} @ {origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}"
    return f"{NAME}{wanted} @ {url}" if url else f"{NAME}{wanted}=={distribution.version}"


def installed_versions() -> dict[str, str]:
    """Versions of the packages that the runtime and its extras use, by name: what was tried here."""
    found: dict[str, str] = {}
    left = [NAME]
    while left:
        try:
            distribution = metadata.distribution(left.pop())
        except metadata.PackageNotFoundError:
            continue
        name = distribution.metadata["Name"]
        if name in found:
            continue
        found[name] = distribution.version
        for line in distribution.requires or []:
            extra = re.search(r"""\bextra\s*==\s*['"]([\w.-]+)""", line)
            if extra is None or (name == NAME and extra[1] in EXTRAS):
                left.append(re.split(r"[^\w.-]", line, maxsplit=1)[0])
    del found[NAME]
    return found


def service_python() -> tuple[Path, tuple[int, int]]:
    """An interpreter that a service may see, and its version: the running one where it may, else the system's.

    Raises:
        ServiceError: there is none; the sentence says what to install.
    """
    version = sys.version_info[:2]
    running = Path(sys.base_prefix) / "bin" / f"python{version[0]}.{version[1]}"
    # systemd looks at where the links lead to.
    if running.exists() and not any(running.resolve().is_relative_to(hidden) for hidden in _HIDDEN):
        return running, version
    ask = "import sys, ensurepip, venv; print(*sys.version_info[:2])"
    try:
        asked = subprocess.run([_SYSTEM_PYTHON, "-c", ask], check=True, capture_output=True, text=True)
        major, minor = map(int, asked.stdout.split())
    except (OSError, ValueError, subprocess.CalledProcessError):
        major = minor = 0
    if not FIRST_PYTHON <= (major, minor) <= LAST_PYTHON:
        raise ServiceError(
            f"{running} lies where the service cannot see it and {_SYSTEM_PYTHON} is no complete Python 3.11 to 3.13; "
            "run: sudo apt install -y python3 python3-venv"
        )
    return _SYSTEM_PYTHON, (major, minor)
