"""What a figure depends on besides the code: machine, versions, commit, command, files.

Nothing here names a folder, a user or a host, so a result file can be published as it is.
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from fer_edge.contract.files import sha256_of
from fer_edge.contract.model_file import ModelFile


def environment(arguments: Sequence[str]) -> dict[str, Any]:
    """Everything about this moment on this machine that a result file names.

    Args:
        arguments: of the command, without the program's name.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "command": command_line(arguments),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
    }


def command_line(arguments: Sequence[str]) -> str:
    """The command as it was given, each path reduced to its last part."""
    return shlex.join(["fer-bench", *(_without_folders(argument) for argument in arguments)])


def _without_folders(argument: str) -> str:
    option, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    return option + equals + (Path(value).name if os.sep in value else value)


def commit() -> str | None:
    """The git commit of this code, with `+` where files that git knows were changed; None outside its checkout."""
    here = Path(__file__).resolve()
    # A virtual environment may lie inside a checkout of something else, which says nothing about us.
    if _output("git", "-C", str(here.parent), "ls-files", "--error-unmatch", here.name) is None:
        return None
    head = _output("git", "-C", str(here.parent), "rev-parse", "HEAD")
    changed = _output("git", "-C", str(here.parent), "status", "--porcelain", "--untracked-files=no")
    return head and head + ("+" if changed else "")


def machine() -> dict[str, Any]:
    """CPU, cores, memory, system, and how busy the machine is with other things (load of the last minute)."""
    system = platform.freedesktop_os_release().get("PRETTY_NAME") if Path("/etc/os-release").exists() else None
    board = Path("/proc/device-tree/model")
    return {
        "cpu": _cpu(),
        "board": board.read_text().strip("\0\n") if board.exists() else None,
        "cores": os.cpu_count(),
        "memory_mb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6),
        "architecture": platform.machine(),
        "os": system or platform.system(),
        "load_1min": round(os.getloadavg()[0], 2),
    }


def _cpu() -> str:
    # On Arm /proc/cpuinfo has numbers only; lscpu knows their names.
    for line in (_output("lscpu") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "Model name":
            return value.strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Versions of everything that the figures depend on."""
    import cv2

    found = {"python": platform.python_version(), "opencv": cv2.__version__}
    for package in ("fer-edge", "numpy", "ai-edge-litert", "tflite-runtime"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def model_facts(path: Path, model: ModelFile) -> dict[str, Any]:
    """What a result file says about a model file; `sha256` is the flatbuffer's, `file_sha256` the whole file's."""
    return {
        "file": path.name,
        "name": model.name,
        "quantization": str(model.facts.get("quantization", model.input.dtype)),
        "sha256": model.sha256,
        "file_sha256": sha256_of(path),
        "bytes": path.stat().st_size,
        "flatbuffer_bytes": len(model.flatbuffer),
    }


def _output(*command: str) -> str | None:
    """Standard output of a helper program, or None where it is absent or fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=10, check=True, env={**os.environ, "LC_ALL": "C"}
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
