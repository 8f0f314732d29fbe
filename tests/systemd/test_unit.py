"""The unit is one that systemd accepts, and says the same as the code."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fer_edge.contract.errors import ConfigError, UsageError
from fer_edge.service import config

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "systemd" / "fer-edge.service"
SAMPLE = ROOT / "systemd" / "config.toml"


class _UnitParser(configparser.RawConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr


@pytest.fixture(scope="module")
def service() -> configparser.SectionProxy:
    parser = _UnitParser(strict=False, delimiters=("=",))
    parser.read(UNIT)
    return parser["Service"]


@pytest.fixture(scope="module")
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed (Debian package systemd)")
    return found


def test_systemd_accepts_the_unit(analyze: str, tmp_path: Path) -> None:
    command = tmp_path / "fer-edge"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    unit = tmp_path / UNIT.name
    # verify wants the command to exist, and nothing is installed in /opt here.
    unit.write_text(UNIT.read_text().replace("ExecStart=/opt/fer-edge/venv/bin/fer-edge", f"ExecStart={command}"))
    done = subprocess.run([analyze, "verify", str(unit)], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert UNIT.name not in done.stderr


def test_the_unit_is_hardened(analyze: str) -> None:
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", str(UNIT)],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "Overall exposure level" in done.stdout, done.stderr
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_errors_that_stay_are_not_retried(service: configparser.SectionProxy) -> None:
    codes = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert codes == {UsageError.exit_code, ConfigError.exit_code}


def test_groups_exist_on_every_debian(service: configparser.SectionProxy) -> None:
    master = Path("/usr/share/base-passwd/group.master")
    if not master.exists():
        pytest.skip("not a Debian system: base-passwd's list of groups is absent")
    groups = {line.partition(":")[0] for line in master.read_text().splitlines()}
    assert set(service["SupplementaryGroups"].split()) <= groups


def test_unit_reads_the_sample_where_it_is_installed(service: configparser.SectionProxy) -> None:
    arguments = service["ExecStart"].split()
    assert arguments[arguments.index("--config") + 1] == f"/etc/{service['ConfigurationDirectory']}/{SAMPLE.name}"


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
