"""What installing and removing the service would do, on machines that are folders."""

from __future__ import annotations

import json
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fer_edge.cli import main
from fer_edge.contract.errors import ConfigError, ServiceError, UsageError
from fer_edge.faces.weights import YUNET_FILE
from fer_edge.service import config, distribution, systemd
from fer_edge.service.steps import Remove, RunCommand, Step, WriteFile
from fer_edge.service.systemd import Forget


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A booted machine with the groups video and gpio, and no weights anywhere."""
    monkeypatch.setattr(systemd, "find_yunet", lambda: None)
    monkeypatch.delenv("SUDO_USER", raising=False)
    root = tmp_path / "root"
    (root / "run/systemd/system").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "etc/group").write_text("root:x:0:\nvideo:x:44:pi\ngpio:x:993:pi\n")
    return root


def written(steps: list[Step]) -> dict[str, str]:
    """Content of the files among the steps, by name."""
    return {step.path.name: step.content.decode() for step in steps if isinstance(step, WriteFile)}


def commands(steps: list[Step]) -> list[str]:
    return [" ".join(step.arguments) for step in steps if isinstance(step, RunCommand)]


def write_files(steps: list[Step]) -> None:
    """Take the steps that need no other program."""
    for step in steps:
        if isinstance(step, WriteFile):
            step.take()


def test_a_fresh_machine(root: Path) -> None:
    steps = systemd.plan_install(root=root, camera="/dev/video2")
    files = written(steps)
    assert files["fer-edge.service"] == systemd.unit_text({"video", "gpio"})
    assert files["fer-edge@.service"] == systemd.unit_text({"video", "gpio"}, template=True)
    (root / "settings.toml").write_text(files["config.toml"])
    assert config.load(root / "settings.toml", environment={}).source == "/dev/video2"
    python, version = distribution.service_python()
    venv = root / "opt/fer-edge/venv"
    assert commands(steps)[0] == f"{python} -m venv --clear {venv}"
    assert commands(steps)[1].startswith(f"{venv}/bin/python -m pip install ")
    assert commands(steps)[2:] == [
        "systemctl daemon-reload", "systemctl enable fer-edge.service", "systemctl restart fer-edge.service",
    ]  # fmt: skip
    pinned = files["constraints.txt"].splitlines()
    assert (f"numpy=={metadata.version('numpy')}" in pinned) == (version == sys.version_info[:2])
    assert not any(line.startswith(("tensorflow", "pytest", "fer")) for line in pinned)


def test_settings_of_the_user_stay(root: Path) -> None:
    path = systemd.settings_path(None, root)
    path.parent.mkdir(parents=True)
    path.write_text('source = "demo"\npublish = ["mqtt://broker/fer"]\n')
    steps = systemd.plan_install(root=root)
    assert written(steps)["config.toml"] == path.read_text()
    # What they need is installed, whatever was installed before.
    assert "mqtt" in commands(steps)[1].partition("[")[2]


def test_given_settings_replace_them(root: Path, tmp_path: Path) -> None:
    given = tmp_path / "mine.toml"
    given.write_text('source = "demo"\n')
    path = systemd.settings_path(None, root)
    path.parent.mkdir(parents=True)
    path.write_text('source = "0"\n')
    write_files(systemd.plan_install(root=root, settings_file=given))
    assert path.read_text() == given.read_text()


def test_bad_settings_are_refused_before_anything_is_written(root: Path, tmp_path: Path) -> None:
    given = tmp_path / "mine.toml"
    given.write_text("colour = 3\n")
    with pytest.raises(ConfigError, match="colour is not a setting"):
        systemd.plan_install(root=root, settings_file=given)
    assert not (root / "opt").exists()


def test_doing_it_twice_is_doing_it_once(root: Path) -> None:
    write_files(systemd.plan_install(root=root))
    states = [line for step in systemd.plan_install(root=root) for line in step.shown() if line.startswith("write ")]
    assert len(states) == 4
    assert all("(unchanged, " in line for line in states)


def test_a_fitting_venv_is_kept_and_another_is_made_anew(root: Path) -> None:
    python, version = distribution.service_python()
    venv = root / systemd.VENV
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/pip").touch()
    facts = {
        "home": str(python.parent),
        "include-system-site-packages": "false",
        "version": f"{version[0]}.{version[1]}.9",
    }

    def makes_venv(**changed: str) -> bool:
        (venv / "pyvenv.cfg").write_text("".join(f"{name} = {value}\n" for name, value in {**facts, **changed}.items()))
        return any(" -m venv " in command for command in commands(systemd.plan_install(root=root)))

    assert not makes_venv()
    assert makes_venv(home="/usr/local/bin")
    assert makes_venv(version="3.10.2")
    assert makes_venv(**{"include-system-site-packages": "true"})
    (root / "usr/lib/python3/dist-packages/picamera2").mkdir(parents=True)
    assert makes_venv()
    assert "--system-site-packages" in commands(systemd.plan_install(root=root))[0]
    assert not makes_venv(**{"include-system-site-packages": "true"})
    # An interrupted one has no pip.
    (venv / "bin/pip").unlink()
    assert makes_venv(**{"include-system-site-packages": "true"})


def test_without_systemd_running_it_is_only_enabled(root: Path) -> None:
    (root / "run/systemd/system").rmdir()
    assert commands(systemd.plan_install(root=root))[2:] == [f"systemctl --root={root} enable fer-edge.service"]


def test_weights_that_were_fetched_come_along(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "home"
    weights = home / ".local/share/fer-edge" / YUNET_FILE
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights\0")
    shared = root / "opt/fer-edge/share" / YUNET_FILE
    write_files(systemd.plan_install(root=root))
    assert not shared.exists()
    # sudo made HOME root's, and they lie in the user's.
    monkeypatch.setenv("SUDO_USER", "pi")
    monkeypatch.setattr("posixpath.expanduser", lambda path: path.replace("~pi", str(home)))
    write_files(systemd.plan_install(root=root))
    assert shared.read_bytes() == b"weights\0"


@pytest.mark.parametrize("name", ["", "config", "../x", "a b", "a@b", "x" * 33, "ä", "-a"])
def test_names_that_cannot_be_a_unit_are_refused(name: str, root: Path) -> None:
    with pytest.raises(UsageError, match="instance"):
        systemd.plan_install(instance=name, root=root)


def test_an_instance_has_a_file_and_a_state_of_its_own(root: Path) -> None:
    steps = systemd.plan_install(instance="door", root=root)
    assert "/var/lib/fer-edge-door/events.jsonl" in written(steps)["door.toml"]
    assert "/var/lib/fer-edge/" not in written(steps)["door.toml"]
    assert commands(steps)[-1] == "systemctl restart fer-edge@door.service"


def test_an_instance_gets_a_camera_that_no_other_has(root: Path) -> None:
    cameras = ["picamera2:0", "/dev/video0", "/dev/video2"]
    assert systemd.free_camera(cameras, None, root) == "picamera2:0"
    folder = root / systemd.SETTINGS
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('source = "picamera2"\n')
    (folder / "door.toml").write_text('source = "0"\n')
    (folder / "broken.toml").write_text("source = \n")
    assert systemd.free_camera(cameras, "hall", root) == "/dev/video2"
    assert systemd.free_camera(cameras, "door", root) == "/dev/video0", "its own may stay its own"
    assert systemd.free_camera(cameras[:1], "hall", root) == "picamera2:0"
    assert systemd.free_camera([], "hall", root) is None


def test_an_instance_has_variables_of_its_own_besides_those_of_all(root: Path) -> None:
    text = systemd.unit_text(set(), template=True)
    shared, own = (text.index(f"EnvironmentFile=-/etc/fer-edge/{name}") for name in ("environment", "%i.environment"))
    assert shared < own, "the later one wins"
    assert "%i" not in systemd.unit_text(set())
    (root / systemd.SETTINGS).mkdir(parents=True)
    (root / systemd.SETTINGS / "environment").write_text("FER_EDGE_DEVICE=house\nFER_EDGE_MQTT_USER=all\n")
    (root / systemd.SETTINGS / "door.environment").write_text("FER_EDGE_DEVICE=door\n")
    found = systemd.service_environment("fer-edge@door.service", root)
    assert found == {"FER_EDGE_DEVICE": "door", "FER_EDGE_MQTT_USER": "all"}


def test_a_pi_without_picamera2_sees_apts_packages_for_its_pins(root: Path) -> None:
    (root / "proc/device-tree").mkdir(parents=True)
    (root / "proc/device-tree/model").write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    assert "--system-site-packages" in commands(systemd.plan_install(root=root))[0]


def enable(root: Path, *units: str) -> None:
    folder = root / systemd.ENABLED
    folder.mkdir(parents=True)
    for unit in (*units, "fer-edge-other.service", "ssh.service"):
        (folder / unit).symlink_to("/etc/systemd/system/x")


def test_uninstall_keeps_settings_and_state(root: Path) -> None:
    write_files(systemd.plan_install(root=root))
    enable(root, "fer-edge.service", "fer-edge@door.service")
    steps = systemd.plan_uninstall(root=root)
    assert commands(steps)[0] == "systemctl disable --now fer-edge.service fer-edge@door.service"
    assert not any(isinstance(step, Forget) for step in steps)
    for step in steps:
        if isinstance(step, Remove):
            step.take()
    assert not (root / "opt/fer-edge").exists()
    assert not list((root / systemd.UNITS).glob("*.service"))
    assert systemd.settings_path(None, root).exists()


def test_forget_removes_settings_secrets_and_state_once_the_services_are_stopped(root: Path) -> None:
    write_files([*systemd.plan_install(root=root), *systemd.plan_install(root=root, instance="door")])
    # The other one is installed and disabled.
    enable(root, "fer-edge.service")
    for path in ("private/fer-edge/x", "private/fer-edge-door/x", "private/other/x"):
        (root / "var/lib" / path).mkdir(parents=True)
    (root / "var/lib/fer-edge").symlink_to("private/fer-edge")
    (root / "etc/credstore").mkdir()
    (root / "etc/credstore/fer-edge.mqtt_password").touch()
    (root / "etc/credstore/other").touch()
    steps = systemd.plan_uninstall(forget=True, root=root)
    kinds = [type(step) for step in steps]
    assert kinds[:3] == [RunCommand, Forget, Forget]
    assert commands(steps)[0] == "systemctl disable --now fer-edge.service fer-edge@door.service"
    assert Forget not in kinds[kinds.index(Remove) :]
    for step in steps:
        if isinstance(step, Remove):
            step.take()
    left = {
        str(path.relative_to(root)) for path in root.rglob("*") if "fer-edge" in path.name and "wants" not in str(path)
    }
    assert left == set()
    assert (root / "var/lib/private/other/x").exists()
    assert (root / "etc/credstore/other").exists()


def test_nothing_installed_is_nothing_to_remove(root: Path) -> None:
    assert not [step for step in systemd.plan_uninstall(forget=True, root=root) if not isinstance(step, RunCommand)]


def test_a_broker_that_does_not_forget_keeps_everything_in_place(root: Path) -> None:
    path = systemd.settings_path(None, root)
    path.parent.mkdir(parents=True)
    path.write_text('publish = ["mqtt://"]\n')
    with pytest.raises(ServiceError, match="stopped but not removed"):
        Forget("fer-edge.service", root).take()
    assert path.exists()


def test_forgetting_uses_the_services_own_environment(root: Path) -> None:
    (root / "etc/credstore").mkdir()
    (root / "etc/credstore/fer-edge.mqtt_password").touch()
    (root / "etc/fer-edge").mkdir()
    (root / "etc/fer-edge/environment").write_text(
        '# comment\nFER_EDGE_MQTT_USER="kit chen"\nPATH=/x\nFER_EDGE_DEVICE=Living room\n'
        "FER_EDGE_MQTT_PASSWORD=it's\n"
        "FER_EDGE_MQTT_KEY=/run/credentials/fer-edge.service/mqtt_key\n"
    )
    assert systemd.service_environment("fer-edge.service", root) == {
        "FER_EDGE_MQTT_PASSWORD_FILE": str(root / "etc/credstore/fer-edge.mqtt_password"),
        "FER_EDGE_MQTT_USER": "kit chen",
        "FER_EDGE_DEVICE": "Living room",
        "FER_EDGE_MQTT_PASSWORD": "it's",
        "FER_EDGE_MQTT_KEY": str(root / "etc/credstore/fer-edge.mqtt_key"),
    }


@pytest.mark.parametrize(
    ("origin", "wanted"),
    [
        (None, "fer-edge[mqtt]==1.2"),
        ({"url": "file:///home/pi/fer%20edge", "dir_info": {"editable": True}}, "/home/pi/fer edge[mqtt]"),
        ({"url": "https://example.org/fer_edge.whl", "archive_info": {}}, "fer-edge[mqtt] @ https://example.org/fer_edge.whl"),
        (
            {"url": "https://example.org/fer.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "fer-edge[mqtt] @ git+https://example.org/fer.git@abc",
        ),
    ],
)  # fmt: skip
def test_the_service_gets_the_fer_edge_that_runs(
    origin: dict[str, Any] | None, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "fer_edge-1.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: fer-edge\nVersion: 1.2\n")
    if origin is not None:
        (folder / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.setattr(metadata, "distribution", lambda name: metadata.PathDistribution(folder))
    assert distribution.requirement(["mqtt"]) == wanted


def test_a_python_that_the_service_cannot_see_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hidden = tmp_path / "home"
    (hidden / "bin").mkdir(parents=True)
    (hidden / "bin" / f"python3.{sys.version_info[1]}").touch()
    system = tmp_path / "python3"
    monkeypatch.setattr(sys, "base_prefix", str(hidden))
    monkeypatch.setattr(distribution, "_SYSTEM_PYTHON", system)
    assert distribution.service_python() == (hidden / "bin" / f"python3.{sys.version_info[1]}", sys.version_info[:2])
    monkeypatch.setattr(distribution, "_HIDDEN", (hidden.resolve(),))
    with pytest.raises(ServiceError, match="sudo apt install -y python3 python3-venv"):
        distribution.service_python()
    for said, usable in (("3 12", True), ("3 9", False), ("nonsense", False)):
        system.write_text(f"#!/bin/sh\necho {said}\n")
        system.chmod(0o755)
        if usable:
            assert distribution.service_python() == (system, (3, 12))
        else:
            with pytest.raises(ServiceError):
                distribution.service_python()


def test_a_failing_command_says_why(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"ERROR: no such wheel\); try again"):
        RunCommand(("sh", "-c", "echo ERROR: no such wheel >&2; echo notice >&2; exit 3"), hint="try again").take()
    with pytest.raises(ServiceError, match="cannot be run"):
        RunCommand((str(tmp_path / "absent"),)).take()
    with pytest.raises(ServiceError, match="cannot be written"):
        WriteFile(Path("/proc/fer-edge/x"), b"").take()


def fer_edge(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["service", *arguments])


def test_dry_run_shows_the_unit_and_writes_nothing() -> None:
    done = fer_edge("install", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "    ProtectSystem=strict" in done.output
    assert "/etc/systemd/system/fer-edge.service (" in done.output
    assert not Path("/etc/systemd/system/fer-edge.service").exists()


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_only_root_changes_the_machine(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["/x/fer-edge"])
    done = fer_edge(command)
    assert done.exit_code == UsageError.exit_code
    assert f"run: sudo /x/fer-edge service {command}" in done.output
    assert len(done.output.splitlines()) == 1
