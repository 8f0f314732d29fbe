"""`--help` of every command fits on a screen and shows how the command is used."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

import fer_bench.cli
import fer_convert.cli
import fer_edge.cli
import fer_train.cli

LINES, COLUMNS = 40, 80
PROGRAMS = {
    "fer-edge": fer_edge.cli.main,
    "fer-train": fer_train.cli.main,
    "fer-convert": fer_convert.cli.main,
    "fer-bench": fer_bench.cli.main,
}


def every(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """Every command below, as it is called, and its help."""
    context = click.Context(
        command, parent=parent, info_name=name, terminal_width=COLUMNS, max_content_width=COLUMNS,
        **({"help_option_names": ["-h", "--help"]} if parent is None else {}),
    )  # fmt: skip
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            assert found is not None
            yield from every(found, sub, context)


HELP = dict(page for name, program in PROGRAMS.items() for page in every(program, name))


@pytest.mark.parametrize("command", HELP)
def test_help_fits_on_a_screen(command: str) -> None:
    lines = HELP[command].splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= COLUMNS


@pytest.mark.parametrize("command", HELP)
def test_help_shows_an_example(command: str) -> None:
    """A line of its own that begins with the command; a group's may show one of its commands."""
    _, _, text = HELP[command].partition("\n")
    assert re.search(rf"^  (sudo )?(\.venv/bin/)?{re.escape(command)}\b", text, re.MULTILINE), HELP[command]
