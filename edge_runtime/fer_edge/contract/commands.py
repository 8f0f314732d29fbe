"""What the four commands share: errors become one sentence on stderr and the documented exit code."""

from __future__ import annotations

import sys
from typing import Any

import click

from fer_edge.contract.errors import FerError

EXIT_INTERRUPTED = 130


class _OneSentence(click.Command):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FerError as error:
            click.echo(f"{ctx.find_root().info_name}: {error}", err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo(f"{ctx.find_root().info_name}: stopped", err=True)
            sys.exit(EXIT_INTERRUPTED)


class Command(_OneSentence):
    """A command that ends with one sentence where it cannot go on."""


class Group(_OneSentence, click.Group):
    """A group that ends so too, and whose commands, added by its decorators, are `Command`s."""

    command_class = Command
    group_class = type  # groups in groups are of this class too
