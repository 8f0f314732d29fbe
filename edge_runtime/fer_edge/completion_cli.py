"""`fer-edge completion`: the Tab key knows commands and options of fer-edge, fer-train, fer-convert and fer-bench."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from fer_edge.contract import files
from fer_edge.contract.commands import Group
from fer_edge.contract.errors import UsageError

PROGRAMS = ("fer-edge", "fer-train", "fer-convert", "fer-bench")
"""The commands of this distribution."""

SHELLS = ("bash", "zsh", "fish")

_STARTUP = {"bash": ".bashrc", "zsh": ".zshrc"}


@click.group(cls=Group)
def completion() -> None:
    """Let the Tab key complete commands, options and their values.

    \b
    fer-edge completion install            for the shell that $SHELL names
    fer-edge completion install zsh
    """


@completion.command()
@click.argument("shell", type=click.Choice(SHELLS), required=False)
def show(shell: str | None) -> None:
    """Print the shell's script, to be put where you like.

    \b
    fer-edge completion show bash
    """
    click.echo(script(shell or _own_shell()), nl=False)


@completion.command()
@click.argument("shell", type=click.Choice(SHELLS), required=False)
def install(shell: str | None) -> None:
    """Write the shell's script and have new shells read it; may be done again at any time.

    \b
    fer-edge completion install
    """
    shell = shell or _own_shell()
    path = script_path(shell)
    _write(path, script(shell))
    if shell in _STARTUP:
        # Dotfiles are often links into a repository, which has to keep them.
        startup = (Path.home() / _STARTUP[shell]).resolve()
        line = f'[ ! -r "{path}" ] || . "{path}"  # fer-edge completion'
        text = startup.read_text(encoding="utf-8", errors="surrogateescape") if startup.exists() else ""
        if line not in text.splitlines():
            before = text if not text or text.endswith("\n") else f"{text}\n"
            _write(startup, f"{before}{line}\n")
    click.echo(f"{path}: written; open a new {shell} and press Tab")


def script(shell: str) -> str:
    """What the shell has to read, for all of our commands."""
    kind = get_completion_class(shell)
    assert kind is not None, f"click completes no {shell}"
    sources = []
    for program in PROGRAMS:
        variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
        # The command itself is asked when Tab is pressed; here only its name counts.
        sources.append(kind(click.Command(program), {}, program, variable).source())
    text = "\n".join(sources) + "\n"
    # zsh completes only once this was called, which a plain .zshrc does not do.
    prelude = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }\n" if shell == "zsh" else ""
    return prelude + text.replace("#compdef ", "# ")


def script_path(shell: str) -> Path:
    """Where `install` puts the script: what fish reads by itself, and the XDG data folder for the others."""
    if shell == "fish":
        config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        return config / "fish" / "conf.d" / "fer-edge.fish"
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return data / "fer-edge" / f"completion.{shell}"


def _own_shell() -> str:
    name = Path(os.environ.get("SHELL", "")).name
    if name not in SHELLS:
        raise UsageError(f"the shell {name or 'of $SHELL'} is none of {', '.join(SHELLS)}; name one of them")
    return name


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(path, text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}); use fer-edge completion show") from error
