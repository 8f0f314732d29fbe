"""fer-edge as a systemd service: what is written where, how it is removed, and how it is asked.

/opt/fer-edge/venv                     fer-edge and what it runs on: ProtectHome= hides a venv under /home
/opt/fer-edge/share                    YuNet's weights
/etc/fer-edge/config.toml, NAME.toml   settings of fer-edge.service, of fer-edge@NAME.service
/etc/credstore/fer-edge.mqtt_password  secrets, readable by root alone
/var/lib/fer-edge, fer-edge-NAME       what the service itself writes
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_edge.contract.errors import FerError, ServiceError, UsageError
from fer_edge.faces.weights import YUNET_FILE, find_yunet
from fer_edge.frames.picamera2 import on_raspberry_pi
from fer_edge.publish import homeassistant
from fer_edge.service import config, distribution
from fer_edge.service.steps import Remove, RunCommand, Step, WriteFile

INSTALLATION = Path("opt/fer-edge")
VENV = INSTALLATION / "venv"
SETTINGS = Path("etc/fer-edge")
CREDENTIALS = Path("etc/credstore")
UNITS = Path("etc/systemd/system")
STATES = (Path("var/lib"), Path("var/lib/private"))
"""Where StateDirectory= lies: with DynamicUser= the first holds a link into the second (systemd.exec(5))."""

ENABLED = UNITS / "multi-user.target.wants"
UNIT_FILES = ("fer-edge.service", "fer-edge@.service")
SHIPPED = Path(__file__).parent / "units"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", re.ASCII)
_CAMERA = 'source = "picamera2"'


def unit_of(instance: str | None) -> str:
    """The unit's name.

    Args:
        instance: which of several cameras, or None for the only one.

    Raises:
        UsageError: the name cannot stand in a unit's and a file's name.
    """
    if instance is None:
        return UNIT_FILES[0]
    if not _NAME.fullmatch(instance) or instance == "config":
        raise UsageError(
            f"instance {instance!r} cannot be a unit's name; give up to 32 letters, digits, - or _, and not 'config'"
        )
    return f"fer-edge@{instance}.service"


def settings_path(instance: str | None, root: Path = Path("/")) -> Path:
    """The settings file of a unit."""
    return root / SETTINGS / f"{instance or 'config'}.toml"


def unit_text(groups: set[str], *, template: bool = False) -> str:
    """The unit as it is installed.

    Args:
        groups: of this machine; systemd refuses a unit that asks for another one (216/GROUP).
        template: fer-edge@.service, one process for each camera, instead of fer-edge.service.
    """
    text = (SHIPPED / UNIT_FILES[0]).read_text(encoding="utf-8")

    def existing(line: re.Match[str]) -> str:
        kept = [group for group in line[1].split() if group in groups]
        return f"SupplementaryGroups={' '.join(kept)}\n" if kept else ""

    text = re.sub(r"^SupplementaryGroups=(.*)\n", existing, text, flags=re.MULTILINE)
    if template:
        text = text.replace("/etc/fer-edge/config.toml", "/etc/fer-edge/%i.toml")
        text = text.replace("from a camera", "from camera %i")
        shared = "EnvironmentFile=-/etc/fer-edge/environment\n"
        text = text.replace(shared, f"{shared}EnvironmentFile=-/etc/fer-edge/%i.environment\n")
        text = re.sub(r"^(StateDirectory=|WorkingDirectory=/var/lib/)fer-edge$", r"\1fer-edge-%i", text, flags=re.M)
    return text


def plan_install(
    *, instance: str | None = None, settings_file: Path | None = None, camera: str | None = None,
    start: bool = True, root: Path = Path("/"),
) -> list[Step]:  # fmt: skip
    """Everything that makes fer-edge start at boot; what is there already stays as it is.

    Args:
        instance: which of several cameras, or None for the only one.
        settings_file: replaces the unit's settings; without it they stay, or are the sample where there are none.
        camera: the source that the sample names.
        start: start it now, too, where systemd runs.
        root: stands for / in tests.

    Raises:
        UsageError: the instance's name is unusable.
        ConfigError: the settings are.
        ServiceError: there is no Python that a service can see.
    """
    unit, target = unit_of(instance), settings_path(instance, root)
    sample = _sample(instance, camera)
    if settings_file is not None:
        settings = config.load(settings_file, environment={})
        text = settings_file.read_text(encoding="utf-8")
    elif target.exists():
        settings, text = config.load(target, environment={}), target.read_text(encoding="utf-8")
    else:
        settings, text = config.Settings(), sample
    steps = [*_installation(settings, root), WriteFile(target, text.encode())]
    groups = _groups(root)
    for name in UNIT_FILES:
        steps.append(WriteFile(root / UNITS / name, unit_text(groups, template="@" in name).encode()))
    if not _running(root):
        return [*steps, RunCommand(("systemctl", f"--root={root}", "enable", unit))]
    steps += [RunCommand(("systemctl", "daemon-reload")), RunCommand(("systemctl", "enable", unit))]
    if start:
        steps.append(RunCommand(("systemctl", "restart", unit), hint="see fer-edge service status"))
    return steps


def plan_uninstall(*, forget: bool = False, root: Path = Path("/")) -> list[Step]:
    """Everything that undoes `plan_install` for all units; settings, secrets and state stay unless `forget`."""
    units = sorted({*installed_units(root), *_units_with_settings(root)})
    steps: list[Step] = []
    there = all((root / UNITS / name).exists() for name in UNIT_FILES)
    if units and there and _running(root):
        steps.append(RunCommand(("systemctl", "disable", "--now", *units)))
    elif units and there:
        steps.append(RunCommand(("systemctl", f"--root={root}", "disable", *units)))
    if forget:
        # The services are stopped by now and announce nothing any more.
        steps += [Forget(unit, root) for unit in units]
    gone = [root / UNITS / name for name in UNIT_FILES]
    gone += [root / INSTALLATION]
    if forget:
        gone += [root / SETTINGS, *sorted((root / CREDENTIALS).glob("fer-edge.*"))]
        for instance in (None, *(instance_of(unit) for unit in units if instance_of(unit))):
            name = f"fer-edge-{instance}" if instance else "fer-edge"
            gone += [root / folder / name for folder in STATES]
    steps += [Remove(path) for path in gone if path.exists() or path.is_symlink()]
    if _running(root):
        # A unit that failed is remembered by systemd until somebody says otherwise; a pattern may match none.
        steps += [RunCommand(("systemctl", "daemon-reload")), RunCommand(("systemctl", "reset-failed", "fer-edge*"))]
    return steps


@dataclass(frozen=True, slots=True)
class Forget:
    """The messages that a unit's broker keeps of it are to be gone, and with them Home Assistant's device.

    Attributes:
        unit: whose settings, environment and secrets say where they are.
        root: stands for / in tests.
    """

    unit: str
    root: Path

    def shown(self) -> Iterator[str]:
        """One line."""
        yield f"forget the MQTT topics of {settings_path(instance_of(self.unit), self.root)}"

    def take(self) -> None:
        """Ask each broker to forget; a unit without settings has said nothing to anybody."""
        path = settings_path(instance_of(self.unit), self.root)
        if not path.exists():
            return
        environment = service_environment(self.unit, self.root)
        # Sinks look up their secrets themselves, in this process's own environment.
        os.environ.update(environment)
        try:
            homeassistant.forget(config.load(path, environment=environment))
        except FerError as error:
            raise ServiceError(
                f"{self.unit} is stopped but not removed, since its broker still knows it ({error}); mend that and try "
                "again, or uninstall without --forget"
            ) from error


def service_environment(unit: str, root: Path = Path("/")) -> dict[str, str]:
    """The FER_EDGE_* variables of a unit, with its secrets where root finds them while the unit is stopped."""
    secrets = root / CREDENTIALS
    environment = {}
    for name in re.findall(r"^LoadCredential=(\w+):", (SHIPPED / UNIT_FILES[0]).read_text(), flags=re.MULTILINE):
        if (secrets / f"fer-edge.{name}").exists():
            environment[f"FER_EDGE_{name.upper()}_FILE"] = str(secrets / f"fer-edge.{name}")
    lines: list[str] = []
    instance = instance_of(unit)
    for name in ("environment", *([f"{instance}.environment"] if instance else [])):
        with contextlib.suppress(OSError):
            lines += (root / SETTINGS / name).read_text(encoding="utf-8").splitlines()
    for line in lines:
        name, _, value = line.strip().partition("=")
        if name.startswith(config.ENVIRONMENT_PREFIX):
            # As systemd.exec(5) reads EnvironmentFile=: one pair of quotes around the whole is no part of the value.
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            environment[name] = value.replace(f"/run/credentials/{unit}/", f"{secrets}/fer-edge.")
    return environment


def free_camera(cameras: Sequence[str], instance: str | None, root: Path = Path("/")) -> str | None:
    """The first camera that no other instance's settings name, else the first, or None where there is none.

    Args:
        cameras: as `frames.list_cameras` names them.
        instance: which is going to have it.
        root: stands for / in tests.
    """
    taken = set()
    for path in (root / SETTINGS).glob("*.toml"):
        if path != settings_path(instance, root):
            with contextlib.suppress(FerError):
                source = config.load(path, environment={}).source
                taken |= {source, f"/dev/video{source}", f"{source}:0"}
    return next((camera for camera in cameras if camera not in taken), next(iter(cameras), None))


def installed_units(root: Path = Path("/")) -> list[str]:
    """Names of the units that start at boot."""
    found = sorted(path.name for path in (root / ENABLED).glob("fer-edge*.service"))
    return [name for name in found if re.fullmatch(r"fer-edge(@.+)?\.service", name)]


def _units_with_settings(root: Path) -> list[str]:
    """Units that somebody disabled have said something to a broker and written something, too."""
    names = [path.stem for path in (root / SETTINGS).glob("*.toml") if _NAME.fullmatch(path.stem)]
    return [unit_of(None if name == "config" else name) for name in names]


def instance_of(unit: str) -> str | None:
    """The instance's name in a unit's name, or None for fer-edge.service."""
    return unit.removesuffix(".service").partition("@")[2] or None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStatus:
    """What systemd says of one unit (systemctl(1), show).

    Attributes:
        unit: its name.
        active: `active`, `activating`, `failed`, `inactive`.
        sub: finer: `running`, `auto-restart`, `dead`.
        since: when it became so, or empty.
        text: what the service itself says, or empty.
        result: `success`, `exit-code`, `watchdog`, `signal`, `start-limit-hit`.
        exit_code: of the last process that ended.
        restarts: how often systemd started it again by itself.
        memory_mb: what it takes now, 10^6 bytes, or None where that is not counted.
    """

    unit: str
    active: str
    sub: str
    since: str
    text: str
    result: str
    exit_code: int
    restarts: int
    memory_mb: float | None


def status(unit: str) -> UnitStatus:
    """Ask systemd about a unit.

    Raises:
        ServiceError: systemd is not running, or does not answer.
    """
    names = "ActiveState SubState StateChangeTimestamp StatusText Result ExecMainStatus NRestarts MemoryCurrent"
    asked = _ask("systemctl", "show", f"--property={','.join(names.split())}", unit)
    said = dict(line.partition("=")[::2] for line in asked.splitlines())
    memory = said.get("MemoryCurrent", "")
    return UnitStatus(
        unit=unit,
        active=said.get("ActiveState", "unknown"),
        sub=said.get("SubState", "unknown"),
        since=said.get("StateChangeTimestamp", ""),
        text=said.get("StatusText", ""),
        result=said.get("Result", ""),
        exit_code=int(said.get("ExecMainStatus") or 0),
        restarts=int(said.get("NRestarts") or 0),
        memory_mb=int(memory) / 1e6 if memory.isdecimal() else None,
    )


def journal(unit: str, lines: int = 5) -> list[str]:
    """The last lines that a unit logged, oldest first; empty where this user may not read them."""
    try:
        said = _ask("journalctl", "--no-pager", "--quiet", "--output=cat", f"--lines={lines}", f"--unit={unit}")
    except ServiceError:
        return []
    return said.splitlines()


def require_root(command: str, program: str) -> None:
    """Refuse to go on as anybody but root.

    Raises:
        UsageError: with the line that root would type.
    """
    if os.geteuid() != 0:
        raise UsageError(f"{command} changes /etc and /opt, which only root may; run: sudo {program} {command}")


def require_systemd() -> None:
    """Refuse to go on where there is no systemd.

    Raises:
        ServiceError: its tools are not installed.
    """
    if shutil.which("systemctl") is None:
        raise ServiceError(
            "this machine has no systemctl; let its own service manager start: fer-edge run --config FILE"
        )


def _ask(*arguments: str) -> str:
    try:
        return subprocess.run(arguments, check=True, capture_output=True, text=True, errors="replace").stdout
    except OSError as error:
        raise ServiceError(f"{arguments[0]} cannot be run ({error.strerror}); this needs systemd") from error
    except subprocess.CalledProcessError as error:
        why = (error.stderr.strip() or f"exit code {error.returncode}").splitlines()[-1]
        raise ServiceError(f"systemd does not answer ({why}); is it running on this machine?") from error


def _running(root: Path) -> bool:
    # sd_booted(3)
    return (root / "run/systemd/system").is_dir()


def _groups(root: Path) -> set[str]:
    try:
        return {line.partition(":")[0] for line in (root / "etc/group").read_text().splitlines()}
    except OSError:
        return set()


def _sample(instance: str | None, camera: str | None) -> str:
    text = (SHIPPED / "config.toml").read_text(encoding="utf-8")
    if camera is not None:
        text = text.replace(_CAMERA, f'source = "{camera}"')
    if instance is not None:
        text = text.replace("/etc/fer-edge/config.toml", f"/etc/fer-edge/{instance}.toml")
        text = text.replace("/var/lib/fer-edge/", f"/var/lib/fer-edge-{instance}/")
    return text


def _installation(settings: config.Settings, root: Path) -> Iterator[Step]:
    """The venv with this very fer-edge in it, and YuNet's weights where somebody has fetched them."""
    python, version = distribution.service_python()
    venv = root / VENV
    # apt's picamera2, and lgpio for pins, are seen by the system's own Python only.
    system = (root / "usr/lib/python3/dist-packages/picamera2").is_dir() or on_raspberry_pi(root)
    if not _fits(venv, python, version, system):
        options = ("--clear", "--system-site-packages") if system else ("--clear",)
        yield RunCommand((str(python), "-m", "venv", *options, str(venv)), hint="sudo apt install -y python3-venv")
    pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # Another Python may have no wheels of the same versions.
    versions = distribution.installed_versions() if version == sys.version_info[:2] else {}
    constraints = root / INSTALLATION / "constraints.txt"
    yield WriteFile(constraints, "".join(f"{name}=={versions[name]}\n" for name in sorted(versions)).encode())
    requirement = distribution.requirement(distribution.needed_extras(settings) | distribution.installed_extras())
    yield RunCommand((*pip, "--constraint", str(constraints), requirement))
    weights = _weights()
    if weights is not None:
        yield WriteFile(root / INSTALLATION / "share" / YUNET_FILE, weights.read_bytes())


def _fits(venv: Path, python: Path, version: tuple[int, int], system: bool) -> bool:
    try:
        lines = (venv / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    facts = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
    return (
        facts.get("home") == str(python.parent)
        and facts.get("version", "").split(".")[:2] == [str(number) for number in version]
        and facts.get("include-system-site-packages") == str(system).lower()
        and (venv / "bin" / "pip").exists()
    )


def _weights() -> Path | None:
    found = find_yunet()
    user = os.environ.get("SUDO_USER")
    if found is None and user and _NAME.fullmatch(user):
        # sudo changes HOME, and they were fetched as the user.
        path = Path(f"~{user}").expanduser() / ".local/share/fer-edge" / YUNET_FILE
        found = path if path.is_file() else None
    return found
