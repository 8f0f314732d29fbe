"""The two commands of a newcomer: what `make` offers, and what scripts/setup does on which machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
SETUP = ROOT / "scripts" / "setup"
LEVELS = ("runtime", "check", "all")


def call(*command: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**{k: v for k, v in os.environ.items() if not k.startswith("MAKE")}, **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A root folder of a machine that is no Raspberry Pi."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "os-release").write_text('ID=debian\nVERSION_CODENAME="trixie"\n')
    return tmp_path


def plan(machine: Path, level: str = "runtime", **environment: str) -> tuple[list[str], str]:
    """Commands that setup would run on `machine`, and what it says."""
    done = call(SETUP, "--print-plan", level, FER_SETUP_ROOT=str(machine), PYTHON=sys.executable, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


def test_make_alone_lists_every_command() -> None:
    listed = set(re.findall(r"^  make ([a-z]+)", call("make").stdout, re.MULTILINE))
    assert listed == {"help", "run", "check", "soak", "test", "lock", "clean"}


@pytest.mark.parametrize("target", ["run", "check", "soak", "test", "lock", "clean"])
def test_targets_exist(target: str) -> None:
    done = call("make", "-n", target)
    assert done.returncode == 0, done.stderr


def test_make_test_runs_every_check_and_every_test_once() -> None:
    commands = call("make", "-n", "test").stdout
    for check in ("ruff check", "ruff format --check", "mypy"):
        assert check in commands
    # Together the two selections are everything but real hardware.
    assert re.findall(r'pytest .*-m "(.*)"', commands) == [
        "not tensorflow and not slow and not hardware",
        "(tensorflow or slow) and not hardware",
    ]


def test_ci_runs_make_test(tmp_path: Path) -> None:
    script(tmp_path / "make", '#!/bin/sh\necho "make $*"; pwd; exit 7\n')
    done = call("bash", ROOT / ".ci" / "run", cwd=tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.stdout.split() == ["make", "test", str(ROOT)]
    assert done.returncode == 7


def test_second_run_starts_at_once(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "constraints.txt", "constraints-bookworm.txt"):
        (tmp_path / name).touch()
    script(tmp_path / "scripts" / "setup", '#!/bin/sh\necho "setup $*" >> calls; mkdir -p .venv/bin\n')
    script(tmp_path / ".venv" / "bin" / "fer-edge", '#!/bin/sh\nprintf "%s\\n" "$@"\n')
    for _ in range(2):
        done = call("make", "-s", "run", 'ARGS=--source "my clip.mkv"', cwd=tmp_path)
        assert done.stdout.splitlines() == ["run", "--source", "my clip.mkv"]
    assert (tmp_path / "calls").read_text() == "setup runtime\n"
    later = (tmp_path / ".venv" / ".runtime").stat().st_mtime + 1
    os.utime(tmp_path / "pyproject.toml", (later, later))
    call("make", "-s", "run", cwd=tmp_path)
    assert (tmp_path / "calls").read_text() == "setup runtime\n" * 2


def test_desktop_plan(machine: Path) -> None:
    commands, said = plan(machine)
    assert commands[0].endswith("-m venv --clear .venv")
    installs = [command for command in commands if "pip install" in command]
    assert [command.rpartition("--constraint ")[2] for command in installs] == [
        "constraints.txt --editable .",
        "constraints.txt --no-deps " + tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
            "optional-dependencies"
        ]["demo"][0],
    ]  # fmt: skip
    assert commands[-1] == "timeout 30 .venv/bin/fer-edge model pull yunet"
    assert "picamera2" not in said


def test_only_make_test_installs_tensorflow(machine: Path) -> None:
    assert ["[train," in " ".join(plan(machine, level)[0]) for level in LEVELS] == [False, False, True]


@pytest.mark.parametrize(
    "sign", ["etc/rpi-issue", "proc/device-tree/model", "usr/lib/python3/dist-packages/picamera2/x"]
)
def test_raspberry_pi_is_recognised(machine: Path, sign: str) -> None:
    (machine / sign).parent.mkdir(parents=True, exist_ok=True)
    (machine / sign).write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    commands, said = plan(machine)
    assert commands[0].endswith("-m venv --clear --system-site-packages .venv")
    missing = "sudo apt install -y python3-picamera2 --no-install-recommends" in said
    assert missing == ("picamera2" not in sign)


def test_other_boards_are_no_raspberry_pi(machine: Path) -> None:
    (machine / "proc" / "device-tree").mkdir(parents=True)
    (machine / "proc" / "device-tree" / "model").write_bytes(b"Radxa ROCK 5B\0")
    assert "--system-site-packages" not in plan(machine)[0][0]


@pytest.mark.parametrize(
    ("codename", "constraints"), [("bookworm", "constraints-bookworm.txt"), ("trixie", ".venv/constraints-pi.txt")]
)
def test_pi_keeps_the_numpy_that_picamera2_was_built_for(machine: Path, codename: str, constraints: str) -> None:
    (machine / "etc" / "rpi-issue").touch()
    (machine / "etc" / "os-release").write_text(f"VERSION_CODENAME={codename}\n")
    commands, _ = plan(machine)
    installs = [command for command in commands if "pip install" in command]
    assert installs
    assert all(f"--constraint {constraints} " in command for command in installs)


def test_pi_constraints_are_the_lock_without_numpy(checkout: Path, machine: Path) -> None:
    (machine / "etc" / "rpi-issue").touch()
    done = call(checkout / "scripts" / "setup", "check", FER_SETUP_ROOT=str(machine), PYTHON=sys.executable)
    assert done.returncode == 0, done.stderr
    locked = (ROOT / "constraints.txt").read_text().splitlines()
    left = (checkout / ".venv" / "constraints-pi.txt").read_text().splitlines()
    assert left == [line for line in locked if not line.startswith("numpy==")]
    assert len(left) < len(locked)


def test_bookworm_constraints_hold_numpy_1_and_its_opencv() -> None:
    lines = (ROOT / "constraints-bookworm.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["numpy<2", "opencv-python-headless<4.12"]


def python_that(folder: Path, prelude: str) -> str:
    """A Python that runs `prelude` before every -c command."""
    code = f"import sys; {prelude}; code = sys.argv[2]; sys.argv = ['-c', *sys.argv[3:]]; exec(code)"
    real = f'exec "{sys.executable}"'
    return str(script(folder / "python", f'#!/bin/sh\n[ "$1" = -c ] || {real} "$@"\n{real} -c "{code}" "$@"\n'))


@pytest.mark.parametrize("minor", range(8, 17))
def test_setup_takes_the_pythons_that_the_package_takes(machine: Path, minor: int) -> None:
    bounds = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    python = python_that(machine, f"sys.version_info = (3, {minor}, 0)")
    done = call(SETUP, "--print-plan", "runtime", FER_SETUP_ROOT=str(machine), PYTHON=python)
    assert (done.returncode == 0) == (f"3.{minor}" in SpecifierSet(bounds))
    if done.returncode:
        assert f"{python} is 3.{minor}" in done.stderr
        assert done.stdout == ""


@pytest.mark.parametrize(
    ("prelude", "sentence"),
    [
        ("sys.maxsize = 2**31 - 1", "64-bit"),
        ("sys.modules['ensurepip'] = None", "sudo apt install -y python3-venv"),
    ],
)
def test_setup_refuses_with_one_sentence(machine: Path, prelude: str, sentence: str) -> None:
    done = call(SETUP, "--print-plan", "runtime", FER_SETUP_ROOT=str(machine), PYTHON=python_that(machine, prelude))
    assert done.returncode == 1
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["everything"], ["--print-plan"]])
def test_setup_says_how_it_is_called(arguments: list[str]) -> None:
    done = call(SETUP, *arguments)
    assert done.returncode == 1
    assert "runtime|check|all" in done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what setup needs, with a .venv whose pip installs nothing."""
    copy = tmp_path / "checkout"
    (copy / "scripts").mkdir(parents=True)
    shutil.copy(SETUP, copy / "scripts")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, copy)
    script(copy / ".venv" / "bin" / "python", '#!/bin/sh\necho "$*" >> pip-calls\n')
    return copy


def test_haar_serves_where_yunet_cannot_be_fetched(checkout: Path, machine: Path) -> None:
    script(
        checkout / ".venv" / "bin" / "fer-edge",
        "#!/bin/sh\necho progress; echo fer-edge: no route to host >&2; exit 1\n",
    )
    done = call(checkout / "scripts" / "setup", "runtime", FER_SETUP_ROOT=str(machine), PYTHON=sys.executable)
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if "Haar" in line] == [
        "setup: no route to host; until then the Haar detector serves"
    ]


def test_without_the_demo_picture_setup_goes_on(checkout: Path, machine: Path) -> None:
    script(checkout / ".venv" / "bin" / "fer-edge", "#!/bin/sh\n")
    script(checkout / ".venv" / "bin" / "python", '#!/bin/sh\ncase "$*" in *no-deps*) exit 1 ;; esac\n')
    done = call(checkout / "scripts" / "setup", "runtime", FER_SETUP_ROOT=str(machine), PYTHON=sys.executable)
    assert done.returncode == 0
    assert "there is no demo" in done.stderr


def test_a_failed_install_stops_setup(checkout: Path, machine: Path) -> None:
    script(checkout / ".venv" / "bin" / "python", '#!/bin/sh\ncase "$*" in *editable*) exit 3 ;; esac\n')
    done = call(checkout / "scripts" / "setup", "runtime", FER_SETUP_ROOT=str(machine), PYTHON=sys.executable)
    assert done.returncode == 3


DEBIAN_PACKAGES = ["mosquitto", "mosquitto-clients", "chromium", "chromium-driver", "systemd-container", "mmdebstrap"]
INSTALLED_ONE_BY_ONE = ["update", *(f"install -y --no-install-recommends {name}" for name in DEBIAN_PACKAGES)]


@pytest.mark.parametrize(
    ("user", "sudo", "apt"),
    [
        (0, 1, INSTALLED_ONE_BY_ONE),
        (1000, 0, INSTALLED_ONE_BY_ONE),
        (1000, 1, []),
    ],
    ids=["root", "sudo without password", "neither"],
)
def test_debian_packages_are_installed_where_that_is_allowed(
    checkout: Path, machine: Path, user: int, sudo: int, apt: list[str]
) -> None:
    tools = machine / "tools"
    tools.mkdir()
    for name in ("sh", "dirname", "grep", "env", "true"):
        (tools / name).symlink_to(shutil.which(name) or "")
    script(tools / "id", f"#!/bin/sh\necho {user}\n")
    script(tools / "sudo", f'#!/bin/sh\n[ {sudo} = 0 ] || exit 1\nshift\nexec "$@"\n')
    script(tools / "apt-get", '#!/bin/sh\necho "$*" >> apt-calls\n')
    done = call(
        checkout / "scripts" / "setup", "all", FER_SETUP_ROOT=str(machine), PYTHON=sys.executable, PATH=str(tools)
    )
    assert done.returncode == 0, done.stderr
    calls = checkout / "apt-calls"
    called = calls.read_text().splitlines() if calls.exists() else []
    assert [call.partition("Timeout=20 ")[2] for call in called] == apt
    assert ("tests against a real broker, browser or boot that need it are skipped" in done.stderr) == (not apt)


def test_what_is_installed_is_left_alone(checkout: Path, machine: Path) -> None:
    for name in ("mosquitto", "mosquitto_sub", "chromium", "chromedriver", "systemd-nspawn", "mmdebstrap"):
        script(machine / "usr" / "sbin" / name, "#!/bin/sh\n")
    script(checkout / "tools" / "apt-get", "#!/bin/sh\necho called >> apt-calls\n")
    path = f"{checkout / 'tools'}:{os.environ['PATH']}"
    done = call(checkout / "scripts" / "setup", "all", FER_SETUP_ROOT=str(machine), PYTHON=sys.executable, PATH=path)
    assert done.returncode == 0
    assert "with apt" not in done.stderr
    assert not (checkout / "apt-calls").exists()
