"""Debian systems in a folder, for boots and for other processors; made once and kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from fer_edge.contract.errors import FerError, UsageError
from fer_edge.service import distribution

MMDEBSTRAP = "mmdebstrap"
LIMIT_S = 1800.0
"""The longest that fetching and unpacking may take."""

_MANYLINUX = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "manylinux_2_5", "manylinux1")


def cache_folder() -> Path:
    """Where they are kept."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fer-edge" / "debian"


def kept(name: str, what: Sequence[object], make: Callable[[Path], None]) -> Path:
    """A folder that `make` filled, now or at an earlier time with the same `what`.

    Args:
        name: beginning of its name in the cache.
        what: everything that decides about its content; strings, numbers and sequences of them.
        make: called with a folder that does not exist yet.

    Raises:
        UsageError: its folder cannot be written; `make` may raise more.
    """
    key = hashlib.sha256(json.dumps(what, default=list).encode()).hexdigest()[:12]
    folder = cache_folder() / f"{name}-{key}"
    if not folder.is_dir():
        # Only a finished one gets the name; two at once make two, and the first serves.
        fresh = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            make(fresh)
            if not folder.is_dir():
                fresh.rename(folder)
        except OSError as error:
            raise UsageError(
                f"{folder} cannot be made ({error.strerror}); set XDG_CACHE_HOME to a folder of yours"
            ) from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return folder


def bootstrap(
    folder: Path, suite: str, packages: Sequence[str], *, variant: str, architecture: str | None = None
) -> None:
    """Fill `folder` with Debian's packages and what they need.

    Args:
        folder: to be made.
        suite: Debian's name of a release, as `trixie`.
        packages: names.
        variant: `extract` unpacks them for any architecture and needs no root; `essential` is a system one can boot.
        architecture: as Debian says it; None is this machine's.

    Raises:
        UsageError: mmdebstrap is not installed, or fails: it needs the network once.
    """
    command = [MMDEBSTRAP, f"--variant={variant}", f"--include={','.join(packages)}"]
    # Nothing here outlives a lost power supply, so dpkg need not wait for the disk.
    command += ["--dpkgopt=force-unsafe-io", "--dpkgopt=path-exclude=/usr/share/doc/*"]
    command += ['--aptopt=Acquire::Retries "1"', '--aptopt=Acquire::http::Timeout "30"']
    command += [f"--architectures={architecture}"] if architecture else []
    if shutil.which(MMDEBSTRAP) is None:
        raise UsageError("mmdebstrap, which makes Debian systems in a folder, is missing: apt install mmdebstrap")
    run([*command, suite, str(folder)], f"Debian {suite} could not be made; it needs the network once", UsageError)


def runtime_requirements(*extras: str) -> list[str]:
    """What fer-edge needs on a Pi, as pip takes it: the four packages and those of `extras`."""
    lines = metadata.requires(distribution.NAME) or []
    wanted = [line for line in lines if ";" not in line]
    for extra in extras:
        wanted += [
            line.partition(";")[0].strip() for line in lines if re.search(rf"extra\s*==\s*['\"]{extra}['\"]", line)
        ]
    return sorted(wanted)


def install_wheels(
    folder: Path,
    requirements: Sequence[str],
    *,
    machine: str,
    python: tuple[int, int],
    dependencies: bool = True,
    constraints: Path | None = None,
) -> None:
    """Install wheels of another processor or Python into `folder`, as `pip install --target` does.

    Args:
        folder: of the packages.
        requirements: as pip takes them; a path is a wheel.
        machine: as `uname -m` says it: `aarch64`, `x86_64`.
        python: version they are for.
        dependencies: what they need, too.
        constraints: file of versions; None takes the ones installed here where Python is the same.

    Raises:
        UsageError: pip fails: there is no such wheel, or no network.
    """
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-warn-conflicts"]
    command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={python[0]}.{python[1]}"]
    command += [f"--platform={name}_{machine}" for name in _MANYLINUX]
    command += [] if dependencies else ["--no-deps"]
    command += [f"--target={folder}", "--upgrade", *requirements]
    same = constraints is None and python == sys.version_info[:2]
    versions = distribution.installed_versions() if same else {}
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as installed:
        installed.writelines(f"{name}=={version}\n" for name, version in versions.items())
        installed.flush()
        command += [f"--constraint={constraints or installed.name}"]
        run(command, f"wheels for {machine} and Python {python[0]}.{python[1]} could not be installed", UsageError)


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout into `folder` and return its path.

    Raises:
        UsageError: this is no checkout, or hatchling is not installed.
    """
    checkout = Path(distribution.requirement(()))
    if not (checkout / "pyproject.toml").is_file():
        raise UsageError(f"{checkout} is no checkout of fer-edge; install it with pip install -e '.[dev]'")
    run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        "no wheel was built",
        UsageError,
        cwd=checkout,
    )
    return next(folder.glob("fer_edge-*.whl"))


def run(
    command: Sequence[str], trouble: str, error: type[FerError] = FerError, *, cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> str:  # fmt: skip
    """Run a command to its end and return its output.

    Args:
        command: program and arguments.
        trouble: beginning of the sentence where it fails.
        error: what is raised then.
        cwd: where it runs.
        env: its environment; None is ours.

    Raises:
        FerError: it failed; the sentence holds its last message. Of the class `error`.
    """
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, errors="replace", cwd=cwd, env=env, timeout=LIMIT_S
        )
    except (OSError, subprocess.TimeoutExpired) as why:
        raise error(f"{trouble} ({why})") from why
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        last = next((line for line in said if line.startswith(("E:", "ERROR"))), said[-1])
        raise error(f"{trouble} ({last})")
    return done.stdout
