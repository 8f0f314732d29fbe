"""What the four commands share: errors become one sentence on stderr and the documented exit code."""

from __future__ import annotations

import errno
import sys
import traceback
from typing import Any

import click

from fer_edge.contract.errors import FerError

EXIT_INTERRUPTED = 130


def _of_output(error: OSError) -> bool:
    """Whether it was raised by what writes for the user, for want of room."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return error.errno in (errno.ENOSPC, errno.EDQUOT) and (last.filename, last.name) == (click.utils.__file__, "echo")


class _OneSentence(click.Command):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FerError as error:
            click.echo(f"{ctx.find_root().info_name}: {error}", err=True)
            sys.exit(error.exit_code)
        except OSError as error:
            if not _of_output(error):
                raise
            click.echo(
                f"{ctx.find_root().info_name}: the output cannot be written ({error.strerror}); free some space "
                "where it is redirected to",
                err=True,
            )
            sys.exit(1)
        except KeyboardInterrupt:
            click.echo(f"{ctx.find_root().info_name}: stopped", err=True)
            sys.exit(EXIT_INTERRUPTED)


class Command(_OneSentence):
    """A command that ends with one sentence where it cannot go on."""


class Group(_OneSentence, click.Group):
    """A group that ends so too, and whose commands, added by its decorators, are `Command`s."""

    command_class = Command
    group_class = type  # groups in groups are of this class too
