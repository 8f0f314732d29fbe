"""Steps that change a machine, so that they can be shown before they are taken."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fer_edge.contract.errors import ServiceError
from fer_edge.contract.files import write_bytes


class Step(Protocol):
    """One thing to do; doing it twice is the same as doing it once."""

    def shown(self) -> Iterator[str]:
        """Lines for people: what it does, and what it would write."""
        ...

    def take(self) -> None:
        """Do it.

        Raises:
            ServiceError: it failed; the sentence says what and why.
        """
        ...


@dataclass(frozen=True, slots=True)
class WriteFile:
    """A file with this content and these permissions, its folders made where they are missing."""

    path: Path
    content: bytes
    mode: int = 0o644

    def shown(self) -> Iterator[str]:
        """One line, and the text where it is a text that is not there yet."""
        there = self.path.read_bytes() if self.path.is_file() else None
        state = "new" if there is None else "unchanged" if there == self.content else "changed"
        yield f"write {self.path} ({state}, {len(self.content):,} bytes, mode {self.mode:04o})"
        if state != "unchanged" and b"\0" not in self.content:
            yield from (f"    {line}".rstrip() for line in self.content.decode().splitlines())

    def take(self) -> None:
        """Write it, atomically, unless it is there already."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.is_file() or self.path.read_bytes() != self.content:
                write_bytes(self.path, self.content)
            self.path.chmod(self.mode)
        except OSError as error:
            raise ServiceError(f"{self.path} cannot be written ({error.strerror}); is the disk read-only?") from error


@dataclass(frozen=True, slots=True)
class Remove:
    """A file, link or folder that is to be gone."""

    path: Path

    def shown(self) -> Iterator[str]:
        """One line."""
        yield f"remove {self.path}"

    def take(self) -> None:
        """Remove it with everything in it; one that is not there is gone already."""
        # rm follows no link and takes folders whose owner is another user's number.
        RunCommand(("rm", "-rf", "--one-file-system", "--", str(self.path))).take()


@dataclass(frozen=True, slots=True)
class RunCommand:
    """A command that has to succeed.

    Attributes:
        arguments: program and arguments, without a shell.
        hint: what to do where it fails, for the error's sentence.
    """

    arguments: tuple[str, ...]
    hint: str = ""

    def shown(self) -> Iterator[str]:
        """The command as one would type it."""
        yield f"run {shlex.join(self.arguments)}"

    def take(self) -> None:
        """Run it and wait for its end."""
        try:
            done = subprocess.run(
                self.arguments, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
            )
        except OSError as error:
            raise ServiceError(f"{self.arguments[0]} cannot be run ({error.strerror}){self._hint()}") from error
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
            # pip's last line may be a notice; what it calls an error says why.
            why = next((line for line in reversed(said) if line.startswith("ERROR")), said[-1])
            raise ServiceError(f"{shlex.join(self.arguments)} failed ({why}){self._hint()}")

    def _hint(self) -> str:
        return f"; {self.hint}" if self.hint else ""
