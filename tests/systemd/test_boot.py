"""The service in a real boot: installed by its own command, watched, broken on purpose, restarted, removed."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import boot
import jsonschema
import pytest
from boot import Machine
from broker import Broker, Subscriber, guarded, until

from fer_bench.soak import debian
from fer_edge.contract.errors import FerError
from fer_edge.publish.event import schema
from fer_edge.publish.homeassistant import RETAINED

pytestmark = pytest.mark.slow

UNIT, DOOR = "fer-edge.service", "fer-edge@door.service"
FIRST_DYNAMIC_UID = 61184  # systemd.exec(5), DynamicUser=
SETTINGS = 'source = "demo"\nfps = 5\nsize = "320x240"\ndetector = "haar"\npublish = ["file:{}/events.jsonl"]\n'
USER = "camera"
SECRETS = {"mqtt_password": "secret", "preview_token": "0123456789abcdef"}
HASTE = "[Service]\nWatchdogSec=6s\nTimeoutAbortSec=1s\nRestartSec=500ms\n"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A running system with this checkout's wheel in the service's venv, and nothing of fer-edge beside it."""
    folder = tmp_path_factory.mktemp("boot")
    with boot.system(folder) as root:
        try:
            wheel = debian.build_wheel(folder)
        except FerError as error:
            pytest.skip(f"no boot: {error}")
        (root / "wheels").mkdir()
        shutil.copy(wheel, root / "wheels")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            page = f'preview = "0.0.0.0:{probe.getsockname()[1]}"\n'
        (root / "root/settings.toml").write_text(SETTINGS.format("/var/lib/fer-edge") + page)
        (root / "root/door.toml").write_text(SETTINGS.format("/var/lib/fer-edge-door"))
        # What a person would write with `systemctl edit`, so that minutes of waiting become seconds.
        for unit in (UNIT, "fer-edge@.service"):
            override = root / "etc/systemd/system" / f"{unit}.d" / "override.conf"
            override.parent.mkdir(parents=True)
            override.write_text(HASTE)
        (root / "etc/credstore").mkdir(exist_ok=True)
        for name, value in SECRETS.items():
            secret = root / f"etc/credstore/fer-edge.{name}"
            secret.write_text(f"{value}\n")
            secret.chmod(0o600)
        system = Machine(root, folder / "console.log")
        try:
            system.switch_on()
            done = system.call(f"/{boot.VENV}/bin/pip", "install", "--no-deps", f"/wheels/{wheel.name}")
            assert done.returncode == 0, done.stderr
            yield system
        finally:
            system.switch_off()


@pytest.fixture
def service(machine: Machine) -> Machine:
    """The machine with the service installed and freshly started, however the test before left it."""
    if machine.show(UNIT, "UnitFileState") == "enabled":
        done = machine.call("systemctl", "restart", UNIT)
    else:
        done = machine.fer_edge("service", "install", "--config", "/root/settings.toml")
    assert done.returncode == 0, done.stderr + machine.call("journalctl", "-n", "30", "-u", UNIT).stdout
    assert machine.show(UNIT, "ActiveState") == "active"
    return machine


def pid(machine: Machine) -> int:
    return int(machine.show(UNIT, "MainPID"))


def process_status(machine: Machine) -> dict[str, str]:
    said = machine.call("cat", f"/proc/{pid(machine)}/status").stdout
    return {name: value.strip() for name, _, value in (line.partition(":") for line in said.splitlines())}


def test_installed_service_is_ready_and_writes_events(service: Machine) -> None:
    assert service.show(UNIT, "UnitFileState") == "enabled"
    status = service.fer_edge("service", "status")
    assert status.returncode == 0
    assert f"{UNIT}: active (running)" in status.stdout
    events = service.root / "var/lib/private/fer-edge/events.jsonl"
    # Ready means that a frame came through; the first face may take some frames more.
    give_up = time.monotonic() + 60
    while events.read_text().count("\n") < 3:
        assert time.monotonic() < give_up, "no events within a minute"
        time.sleep(0.1)
    lines = [json.loads(line) for line in events.read_text().splitlines()[:-1]]
    for event in lines[:20]:
        jsonschema.validate(event, schema())
    assert lines[0]["frame"]["source"] == "demo"
    assert events.stat().st_uid >= FIRST_DYNAMIC_UID


def test_installing_again_changes_nothing(service: Machine) -> None:
    again = service.fer_edge("service", "install")
    assert again.returncode == 0, again.stderr
    written = [line for line in again.stdout.splitlines() if line.startswith("write ")]
    assert len(written) >= 4
    assert all("(unchanged, " in line for line in written), again.stdout
    assert "-m venv" not in again.stdout


def test_the_process_is_shut_in(service: Machine) -> None:
    status = process_status(service)
    assert all(int(uid) >= FIRST_DYNAMIC_UID for uid in status["Uid"].split())
    assert (status["NoNewPrivs"], status["Seccomp"], int(status["CapEff"], 16)) == ("1", "2", 0)
    inside = ("nsenter", f"--target={pid(service)}", "--mount")
    for folder in ("/etc", "/opt/fer-edge", "/usr"):
        assert service.call(*inside, "touch", f"{folder}/written").returncode != 0
    assert service.call(*inside, "touch", "/var/lib/private/fer-edge/written").returncode == 0
    assert service.call(*inside, "ls", "/root/settings.toml").returncode != 0


def test_secrets_reach_the_service_and_nobody_else(service: Machine) -> None:
    inside = ("nsenter", f"--target={pid(service)}", "--mount")
    found = service.call(*inside, "ls", f"/run/credentials/{UNIT}").stdout.split()
    assert found == sorted(SECRETS)
    user = process_status(service)["Uid"].split()[0]
    secret = f"/run/credentials/{UNIT}/mqtt_password"
    readers = {
        uid: service.call(*inside, "setpriv", f"--reuid={uid}", "--clear-groups", "cat", secret).returncode
        for uid in (user, "65534")
    }
    assert readers[user] == 0
    assert readers["65534"] != 0


def test_the_credential_opens_the_live_page_to_others(service: Machine) -> None:
    (port,) = re.findall(r'"0\.0\.0\.0:(\d+)"', (service.root / "etc/fer-edge/config.toml").read_text())

    def answer(path: str) -> int:
        # The container has no network of its own.
        connection = HTTPConnection("127.0.0.1", int(port), timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().status

    assert answer("/") == 401
    assert answer(f"/?token={SECRETS['preview_token']}") == 303
    journal = service.call("journalctl", "-b", "-u", UNIT, "-o", "cat", "--no-pager").stdout
    assert "live page: http://" in journal
    assert SECRETS["preview_token"] not in journal


def test_reload_keeps_the_process(service: Machine) -> None:
    before = pid(service)
    assert service.call("systemctl", "reload", UNIT).returncode == 0
    with pytest.raises(AssertionError, match="not"):
        service.until(UNIT, "ActiveState", "failed", "inactive", "activating", within_s=1.0)
    assert pid(service) == before


def test_watchdog_ends_a_process_that_stands_still(service: Machine) -> None:
    before = pid(service)
    service.call("systemctl", "kill", "--signal=SIGSTOP", UNIT)
    service.until(UNIT, "NRestarts", "1")
    service.until(UNIT, "ActiveState", "active")
    assert pid(service) != before
    journal = service.call("journalctl", "-b", "-u", UNIT, "--no-pager").stdout
    assert "Watchdog timeout" in journal


def test_killed_process_is_started_again(service: Machine) -> None:
    before = pid(service)
    service.call("systemctl", "kill", "--signal=SIGKILL", UNIT)
    service.until(UNIT, "NRestarts", "1")
    service.until(UNIT, "ActiveState", "active")
    assert pid(service) != before


def test_wrong_settings_are_not_tried_again(service: Machine) -> None:
    settings = service.root / "etc/fer-edge/config.toml"
    good = settings.read_text()
    settings.write_text(good + "colour = 3\n")
    try:
        assert service.call("systemctl", "restart", UNIT).returncode != 0
        # RestartSec would have passed four times.
        with pytest.raises(AssertionError, match="not"):
            service.until(UNIT, "ActiveState", "active", "activating", within_s=2.0)
        assert service.show(UNIT, "ExecMainStatus") == "78"
        assert service.show(UNIT, "NRestarts") == "0"
        status = service.fer_edge("service", "status")
        assert status.returncode == 1
        assert "colour is not a setting" in status.stdout
        assert "fer-edge config check /etc/fer-edge/config.toml" in status.stdout
        refused = service.fer_edge("service", "install")
        assert refused.returncode == 78
    finally:
        settings.write_text(good)


def test_stopping_is_clean(service: Machine) -> None:
    assert service.call("systemctl", "stop", UNIT).returncode == 0
    assert service.show(UNIT, "ActiveState") == "inactive"
    assert service.show(UNIT, "Result") == "success"
    assert service.show(UNIT, "ExecMainStatus") == "0"
    journal = service.call("journalctl", "-b", "-u", UNIT, "-o", "cat", "-n", "20", "--no-pager").stdout
    assert re.search(r"run \w+: \d+ frames", journal)


def test_several_cameras_run_beside_each_other(service: Machine) -> None:
    done = service.fer_edge("service", "install", "--instance", "door", "--config", "/root/door.toml")
    assert done.returncode == 0, done.stderr
    try:
        assert service.show(DOOR, "ActiveState") == "active"
        assert service.show(UNIT, "ActiveState") == "active"
        assert (service.root / "var/lib/private/fer-edge-door/events.jsonl").exists()
    finally:
        service.call("systemctl", "disable", "--now", DOOR)


def test_it_runs_again_after_a_reboot(service: Machine) -> None:
    service.reboot()
    service.until(UNIT, "ActiveState", "active")
    assert service.show(UNIT, "NRestarts") == "0"


@contextlib.contextmanager
def venv_comes_back(root: Path) -> Iterator[None]:
    """Uninstalling removes the venv that it runs from; links to its files, /root/venv, bring it back at the end."""
    venv, kept = root / boot.VENV, root / "root/venv"
    subprocess.run(["cp", "-al", venv, kept], check=True)
    try:
        yield
    finally:
        shutil.rmtree(venv, ignore_errors=True)
        venv.parent.mkdir(exist_ok=True)
        kept.rename(venv)


def test_uninstall_leaves_what_people_wrote(service: Machine) -> None:
    root = service.root
    with venv_comes_back(root):
        done = service.fer_edge("service", "uninstall")
        assert done.returncode == 0, done.stderr
        assert service.show(UNIT, "LoadState") == "not-found"
        assert not (root / boot.VENV).exists()
        assert (root / "etc/fer-edge/config.toml").exists()
        assert (root / "var/lib/private/fer-edge/events.jsonl").exists()
        assert service.call("/root/venv/bin/python", "-m", "fer_edge", "service", "status").returncode == 1


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """One outside of the machine, which lets in who has the password in its credential store."""
    with guarded(tmp_path, USER, SECRETS["mqtt_password"]) as broker:
        yield broker


def test_forget_leaves_nothing_on_the_machine_and_nothing_at_the_broker(service: Machine, broker: Broker) -> None:
    settings = service.root / "etc/fer-edge/config.toml"
    spec = f"mqtt://{USER}@127.0.0.1:{broker.port}/fer/kitchen?discovery=homeassistant"
    settings.write_text(re.sub("publish = .*", f'publish = ["{spec}"]', settings.read_text()))
    assert service.call("systemctl", "restart", UNIT).returncode == 0
    hub = Subscriber(broker.port, USER, SECRETS["mqtt_password"], topics="#")
    with contextlib.closing(hub):
        wanted = {f"fer/kitchen/{name}" for name in RETAINED}
        until(lambda: wanted <= {topic for topic, *_ in hub.heard}, "everything that a broker keeps was said")
        assert any(topic.startswith("homeassistant/device/") for topic, *_ in hub.heard)
    with venv_comes_back(service.root):
        done = service.fer_edge("service", "uninstall", "--forget")
        assert done.returncode == 0, done.stderr
        # What somebody said with `systemctl edit` is not ours to remove.
        left = service.call("find", "/etc", "/opt", "/var/lib", "-path", "*fer-edge*", "-not", "-path", "*.service.d*")
        assert left.stdout == ""
        assert service.call("systemctl", "list-units", "--all", "--no-legend", "fer-edge*").stdout == ""
    newcomer = Subscriber(broker.port, USER, SECRETS["mqtt_password"], topics="#")
    with contextlib.closing(newcomer):
        # The broker sends what it keeps before what comes afterwards.
        newcomer.say("the/end", b"")
        until(lambda: bool(newcomer.heard), "the end of what is kept")
        assert [topic for topic, *_ in newcomer.heard] == ["the/end"]
