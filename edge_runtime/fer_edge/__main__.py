"""The command's door: `fer-edge` and `python -m fer_edge`."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command; a Ctrl-C while it is still loading ends it without a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from fer_edge.cli import main as command

    signal.signal(signal.SIGINT, signal.default_int_handler)
    command(prog_name="fer-edge")


if __name__ == "__main__":
    main()
