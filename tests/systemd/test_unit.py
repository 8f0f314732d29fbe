"""The units are ones that systemd accepts, are hardened, and say the same as the code."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fer_edge.contract.errors import ConfigError, UsageError
from fer_edge.service import config, systemd

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = systemd.SHIPPED / "config.toml"
SECRET = re.compile(r'read_secret\(\s*"(\w+)"')


class _UnitParser(configparser.RawConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr


def section(text: str) -> configparser.SectionProxy:
    parser = _UnitParser(strict=False, delimiters=("=",))
    parser.read_string(text)
    return parser["Service"]


@pytest.fixture(params=[False, True], ids=["fer-edge.service", "fer-edge@.service"])
def text(request: pytest.FixtureRequest) -> str:
    """Each of the units, as a machine with all three groups gets it."""
    return systemd.unit_text({"video", "render", "gpio"}, template=request.param)


@pytest.fixture
def unit(text: str, tmp_path: Path) -> Path:
    """The unit as a file whose command exists: `verify` wants that, and nothing is installed in /opt here."""
    command = tmp_path / "fer-edge"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    path = tmp_path / ("fer-edge@.service" if "%i" in text else "fer-edge.service")
    path.write_text(text.replace("ExecStart=/opt/fer-edge/venv/bin/fer-edge", f"ExecStart={command}"))
    return path


@pytest.fixture(scope="module")
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed (Debian package systemd)")
    return found


def test_systemd_accepts_the_unit(analyze: str, unit: Path) -> None:
    done = subprocess.run([analyze, "verify", str(unit)], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "fer-edge" not in done.stderr


def test_the_unit_is_hardened(analyze: str, unit: Path) -> None:
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", str(unit)],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "Overall exposure level" in done.stdout, done.stderr
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_errors_that_stay_are_not_retried(text: str) -> None:
    codes = {int(code) for code in section(text)["RestartPreventExitStatus"].split()}
    assert codes == {UsageError.exit_code, ConfigError.exit_code}


def test_a_camera_that_is_away_is_waited_for_without_end(text: str) -> None:
    parser = _UnitParser(strict=False, delimiters=("=",))
    parser.read_string(text)
    unit, service = parser["Unit"], parser["Service"]
    minutes, seconds = unit["StartLimitIntervalSec"].removesuffix("min"), service["RestartSec"].removesuffix("s")
    # systemd.unit(5): more than so many starts within the interval are refused until a person comes.
    assert 60 * int(minutes) / int(seconds) + 1 <= int(unit["StartLimitBurst"]) < 100
    assert service["Restart"] == "on-failure"


@pytest.mark.parametrize("groups", [{"video", "gpio", "audio"}, {"video"}, {"audio"}, set()])
def test_only_groups_of_this_machine_are_asked_for(groups: set[str]) -> None:
    asked = section(systemd.unit_text(groups)).get("SupplementaryGroups", "").split()
    assert asked == [group for group in ("video", "render", "gpio") if group in groups]
    assert "SupplementaryGroups=\n" not in systemd.unit_text(groups)


def test_each_instance_has_settings_and_state_of_its_own() -> None:
    one, many = (systemd.unit_text({"video"}, template=template) for template in (False, True))
    own = "EnvironmentFile=-/etc/fer-edge/%i.environment\n"
    assert own in many and own not in one
    changed = [(a, b) for a, b in zip(one.splitlines(), many.replace(own, "").splitlines(), strict=True) if a != b]
    assert {b.partition("=")[0] for _, b in changed} == {
        "Description",
        "ExecStart",
        "StateDirectory",
        "WorkingDirectory",
    }
    assert all("%i" in b and "%i" not in a for a, b in changed)
    service = section(many)
    assert service["WorkingDirectory"] == f"/var/lib/{service['StateDirectory']}"
    # With DynamicUser= /var/lib/fer-edge is a link, below which systemd makes no other unit's directory.
    assert "/" not in service["StateDirectory"]


def test_only_cameras_buffers_and_pins_are_let_in(text: str) -> None:
    allowed = re.findall(r"^DeviceAllow=(\S+) rw$", text, re.MULTILINE)
    assert section(text)["DevicePolicy"] == "closed"
    assert sorted(allowed) == [
        "/dev/gpiomem", "char-dma_heap", "char-gpiochip", "char-media", "char-video4linux",
    ]  # fmt: skip
    assert len(allowed) == text.count("DeviceAllow=")


def test_every_secret_that_the_code_asks_for_can_be_given_as_a_credential(text: str) -> None:
    asked = {
        name
        for path in (ROOT / "edge_runtime").rglob("*.py")
        for name in SECRET.findall(path.read_text(encoding="utf-8"))
    }
    given = dict(re.findall(r"^LoadCredential=(\w+):(.+)$", text, re.MULTILINE))
    assert "mqtt_password" in asked
    assert asked <= given.keys()
    # A name without a folder is looked up in /etc/credstore, and its absence stops nothing (systemd.exec(5)).
    assert all(source == f"fer-edge.{name}" for name, source in given.items())


def test_unit_reads_the_sample_where_it_is_installed() -> None:
    arguments = section(systemd.unit_text(set()))["ExecStart"].split()
    assert Path(arguments[arguments.index("--config") + 1]) == systemd.settings_path(None)
    assert Path(arguments[0]).is_relative_to("/" / systemd.VENV)


def test_the_folder_in_the_checkout_shows_what_is_shipped() -> None:
    for path in systemd.SHIPPED.iterdir():
        assert (ROOT / "systemd" / path.name).samefile(path)


def test_sample_config_is_valid() -> None:
    settings = config.load(SAMPLE, environment={})
    assert settings.source != "auto", "a service must not fall back to the demo"
    assert all(not sink.startswith("file:") or sink.startswith("file:/var/lib/fer-edge/") for sink in settings.publish)


def test_every_commented_example_is_valid(tmp_path: Path) -> None:
    examples = re.findall(r"^# (\w+ = .+)$", SAMPLE.read_text(), re.MULTILINE)
    assert len(examples) >= 5
    for number, example in enumerate(examples):
        path = tmp_path / f"{number}.toml"
        path.write_text(example)
        key = example.partition(" ")[0]
        assert getattr(config.load(path, environment={}), key) != getattr(config.Settings(), key), example
