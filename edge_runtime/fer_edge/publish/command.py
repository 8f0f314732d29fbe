"""Events to a command: started for each of them, without a shell, the event on its standard input."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import threading

from fer_edge.contract.errors import UsageError
from fer_edge.publish import rule
from fer_edge.publish.background import BackgroundSink, UndeliveredError
from fer_edge.publish.event import Event
from fer_edge.publish.spec import SinkContext
from fer_edge.publish.triggered import TriggeredSink

FORM = "exec:COMMAND[ ARGUMENT…][#expression=happy,dwell=2,every=10,timeout=10,parallel=1]"

_STDERR = 2


def open_command(spec: str, context: SinkContext) -> TriggeredSink:
    """Open `exec:COMMAND`, its words divided and quoted as in a POSIX shell (shlex), but no shell runs.

    What follows the last `#` is the rule, with `timeout` (0.1 to 60 s, then the command and its children are
    killed) and `parallel` (1 to 8 at a time).

    Raises:
        UsageError: the command is missing, badly quoted or not executable, or the rule is malformed.
    """
    line, text = rule.split_rule(spec.removeprefix("exec:"))
    which, options = rule.parse_rule(text, context.labels, FORM, timeout=(10.0, 0.1, 60.0), parallel=(1.0, 1.0, 8.0))
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"the command of an exec: output is badly quoted ({error}); it is written {FORM}") from error
    if not words:
        raise UsageError(f"output 'exec:' lacks its command; it is written {FORM}")
    if shutil.which(words[0]) is None:
        raise UsageError(f"command {words[0]} of an exec: output is not an executable file; give its whole path")
    sink = CommandSink(words, timeout_s=options["timeout"])
    return TriggeredSink(
        BackgroundSink(
            sink, lossy=True, threads=int(options["parallel"]), limit_s=options["timeout"] + 1.0, abandon=sink.kill
        ),
        which,
    )


class CommandSink:
    """Runs a command for each event and waits for its end.

    The command finds the event as one line of JSON on its standard input; what it prints goes to our standard
    error. It does not inherit the variables FER_EDGE_*, among which our passwords are.

    Args:
        words: the command and its arguments.
        timeout_s: then it is killed, seconds.
    """

    every_frame = False

    def __init__(self, words: list[str], *, timeout_s: float) -> None:
        self.name = f"command {os.path.basename(words[0])}"  # noqa: PTH119 - a word, not yet a path
        self._words, self._timeout_s = words, timeout_s
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()

    def publish(self, event: Event) -> None:
        """Run the command; may be called from several threads.

        Raises:
            UndeliveredError: it cannot be started, ended with an error, or took too long.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FER_EDGE_")}
        # A file in memory: a pipe would wait for a command that does not read.
        with os.fdopen(os.memfd_create("event"), "w+b") as standard_input:
            standard_input.write(event.json + b"\n")
            standard_input.seek(0)
            try:
                process = subprocess.Popen(
                    self._words, stdin=standard_input, stdout=_STDERR, env=environment, start_new_session=True
                )
            except OSError as error:
                raise UndeliveredError(f"cannot be started ({error.strerror})", again=False) from error
        with self._guard:
            self._running.add(process)
        try:
            code = process.wait(self._timeout_s)
        except subprocess.TimeoutExpired:
            raise UndeliveredError(f"took over {self._timeout_s:g} s and was killed", again=False) from None
        finally:
            _kill(process)
            with self._guard:
                self._running.discard(process)
        if code:
            raise UndeliveredError(f"ended with {code}", again=False)

    def close(self) -> None:
        """Nothing is kept open between two events."""

    def kill(self) -> None:
        """Kill what runs; from any thread."""
        with self._guard:
            for process in self._running:
                _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The whole session: the command may have started others."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
