"""`fer-edge completion` in real shells."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from fer_edge.cli import main

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("FER_EDGE_", "XDG_"))}


def environment(home: Path, shell: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return ENVIRONMENT | {"HOME": str(home), "SHELL": f"/bin/{shell}", "PATH": path, "TERM": "dumb", "PS1": "$ "}


def install(home: Path, shell: str, *arguments: str) -> str:
    variables = {"HOME": str(home), "SHELL": f"/bin/{shell}", "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": ""}
    done = CliRunner().invoke(main, ["completion", "install", *arguments], env=variables)
    assert done.exit_code == 0, done.output
    return done.output


def typed(shell: list[str], keys: bytes, expected: bytes, home: Path) -> bytes:
    """What a shell on a terminal of its own shows until `expected` is there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        shell, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(home, shell[0]), cwd=home,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + 30
    sent = False
    try:
        while expected not in shown and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                shown += os.read(ours, 4096)
            if not sent and b"$ " in shown:
                os.write(ours, keys)
                sent = True
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return shown


def test_the_tab_key_completes_in_a_real_bash(tmp_path: Path) -> None:
    if not shutil.which("bash"):
        pytest.skip("bash is not installed")
    install(tmp_path, "bash")
    with (tmp_path / ".bashrc").open("a") as startup:
        startup.write("PS1='$ '\n")
    shown = typed(["bash", "-i"], b"fer-edge config sch\t", b"config schema", tmp_path)
    assert b"config schema" in shown


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_installing_again_changes_nothing(shell: str, tmp_path: Path) -> None:
    startup = tmp_path / f".{shell}rc"
    startup.write_text("alias ll='ls -l'")
    install(tmp_path, shell)
    once = startup.read_text()
    install(tmp_path, "fish", shell)
    assert startup.read_text() == once
    assert once.startswith("alias ll='ls -l'\n[ ! -r ")
    script = tmp_path / ".local" / "share" / "fer-edge" / f"completion.{shell}"
    assert str(script) in once
    for name in ("fer-edge", "fer-train", "fer-convert", "fer-bench"):
        assert f"_{name.upper().replace('-', '_')}_COMPLETE={shell}_complete" in script.read_text()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_the_shell_reads(shell: str, tmp_path: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    shown = CliRunner().invoke(main, ["completion", "show", shell])
    checked = subprocess.run([shell, "-n"], input=shown.output, text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_startup_files_that_are_links_stay_links(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "bashrc"
    real.parent.mkdir()
    real.write_bytes(b"# caf\xe9\n")  # not UTF-8
    (tmp_path / ".bashrc").symlink_to(real)
    install(tmp_path, "bash")
    assert (tmp_path / ".bashrc").is_symlink()
    assert real.read_bytes().startswith(b"# caf\xe9\n[ ! -r ")


def test_fish_reads_it_by_itself(tmp_path: Path) -> None:
    install(tmp_path, "fish")
    assert (tmp_path / ".config" / "fish" / "conf.d" / "fer-edge.fish").read_text().count("complete --no-files") == 4
    assert [path.name for path in tmp_path.iterdir()] == [".config"]


def test_a_shell_that_is_not_known_is_refused(tmp_path: Path) -> None:
    for shell in ("/bin/tcsh", ""):
        done = CliRunner().invoke(main, ["completion", "install"], env={"HOME": str(tmp_path), "SHELL": shell})
        assert done.exit_code == 2
        assert "name one of them" in done.output
    assert list(tmp_path.iterdir()) == []
