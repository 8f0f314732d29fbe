"""A Debian system that boots in a container, with what fer-edge runs on and without fer-edge."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_bench.soak import debian
from fer_edge.contract.errors import FerError

SUITE = "bookworm"  # the oldest systemd and Python that are supported
PYTHON = (3, 11)
PACKAGES = ("systemd", "systemd-sysv", "python3-venv", "libstdc++6")
VENV = "opt/fer-edge/venv"
CONSTRAINTS = Path(__file__).parents[2] / "constraints-bookworm.txt"  # the wheels that scripts/setup takes there
EXTRAS = ("mqtt", "demo")  # the demo's picture is a camera that every machine has
REBOOTED = 133  # what systemd-nspawn ends with where --keep-unit forbids it to start the container again

NSPAWN = ("systemd-nspawn", "--register=no", "--keep-unit", "--quiet", "--console=pipe", "--boot")


@contextlib.contextmanager
def system(folder: Path) -> Iterator[Path]:
    """A Debian root with a venv of fer-edge's dependencies, to be changed at will: made once, kept in the cache."""
    for program, package in (("systemd-nspawn", "systemd-container"), (debian.MMDEBSTRAP, debian.MMDEBSTRAP)):
        if shutil.which(program) is None:
            pytest.skip(f"no boot without {program}: apt install {package}")
    if os.geteuid() != 0:
        pytest.skip("no boot without root: systemd-nspawn makes namespaces and devices")
    requirements = debian.runtime_requirements(*EXTRAS)
    what = [PACKAGES, requirements, CONSTRAINTS.read_text()]
    try:
        made = debian.kept(f"boot-{SUITE}", what, lambda fresh: _make(fresh, requirements))
    except FerError as error:
        pytest.skip(f"no boot: {error}")
    root, layers = folder / "root", [f"lowerdir={made}"]
    for name, option in (("changed", "upperdir"), ("work", "workdir"), ("root", "")):
        (folder / name).mkdir()
        layers += [f"{option}={folder / name}"] if option else []
    mount = ["mount", "-t", "overlay", "fer-edge-test", "-o", ",".join(layers), str(root)]
    mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        if not mounted:  # as within a container whose own root is an overlay
            debian.run(["cp", "-a", f"{made}/.", str(root)], "the system could not be copied")
        yield root
    finally:
        if mounted:
            # Processes of a container that was killed may hold it for another moment.
            subprocess.run(["umount", "--lazy", root], check=True)
        for name in ("root", "changed", "work"):
            shutil.rmtree(folder / name, ignore_errors=True)


def _make(root: Path, requirements: list[str]) -> None:
    debian.bootstrap(root, SUITE, PACKAGES, variant="essential")
    debian.run(["chroot", str(root), "/usr/bin/python3", "-m", "venv", f"/{VENV}"], "no venv was made")
    packages = root / VENV / f"lib/python{PYTHON[0]}.{PYTHON[1]}/site-packages"
    picture = [requirement for requirement in requirements if requirement.startswith("scikit-image")]
    needed = [requirement for requirement in requirements if requirement not in picture]
    for wheels, dependencies in ((needed, True), (picture, False)):
        debian.install_wheels(
            packages, wheels, machine=os.uname().machine, python=PYTHON, dependencies=dependencies,
            constraints=CONSTRAINTS,
        )  # fmt: skip


class Machine:
    """One system, from switching it on to switching it off."""

    def __init__(self, root: Path, log: Path) -> None:
        self.root = root
        self.log = log
        self._container: subprocess.Popen[bytes] | None = None
        self._init = 0

    def switch_on(self) -> None:
        """Boot, and wait until systemd has started what it starts."""
        with self.log.open("ab") as log:
            self._container = subprocess.Popen(
                [*NSPAWN, f"--directory={self.root}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._container.poll() is None:
            children = Path(f"/proc/{self._container.pid}/task/{self._container.pid}/children")
            with contextlib.suppress(OSError, ValueError, IndexError):
                self._init = int(children.read_text().split()[0])
                if self.call("systemctl", "is-system-running", "--wait").stdout.strip() in ("running", "degraded"):
                    return
            time.sleep(0.1)
        said = self.log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        self.switch_off()
        pytest.skip(f"no boot: systemd-nspawn did not start a system here ({said[-1]})")

    def reboot(self) -> None:
        """As somebody at its keyboard would."""
        assert self._container is not None
        self.call("systemctl", "reboot")
        assert self._container.wait(60) == REBOOTED, self.log.read_text(errors="replace")[-2000:]
        self.switch_on()

    def switch_off(self) -> None:
        """Pull the plug."""
        container, self._container = self._container, None
        if container is not None and container.poll() is None:
            # nspawn takes its container with it.
            container.send_signal(signal.SIGTERM)
            try:
                container.wait(20)
            except subprocess.TimeoutExpired:
                container.kill()
                container.wait()

    def call(self, *command: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command as the machine's root."""
        return subprocess.run(
            ["nsenter", f"--target={self._init}", "--all", *command],
            check=False, capture_output=True, text=True, errors="replace", timeout=timeout, stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
                 "PIP_NO_INDEX": "1"},
        )  # fmt: skip

    def fer_edge(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the installed command as root."""
        return self.call(f"/{VENV}/bin/fer-edge", *arguments)

    def show(self, unit: str, name: str) -> str:
        """What systemd says of a unit."""
        return self.call("systemctl", "show", "--value", f"--property={name}", unit).stdout.strip()

    def until(self, unit: str, name: str, *values: str, within_s: float = 60.0) -> None:
        """Wait until it says one of `values`."""
        deadline = time.monotonic() + within_s
        while (said := self.show(unit, name)) not in values:
            assert time.monotonic() < deadline, f"{name} of {unit} is {said!r} after {within_s} s, not {values}"
            time.sleep(0.1)
