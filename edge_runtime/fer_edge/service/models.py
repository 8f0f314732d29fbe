"""The expression model that serves here: installed beside the shipped one, swapped in atomically, taken back."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fer_edge.contract import model_file, shipped
from fer_edge.contract.digest import sha256
from fer_edge.contract.errors import FerError, ModelFileError, UsageError
from fer_edge.contract.files import replacing, write_text
from fer_edge.contract.flatbuffer import check_network
from fer_edge.contract.model_file import ModelFile
from fer_edge.expressions import litert
from fer_edge.faces.weights import data_folder
from fer_edge.loop import Loop

STATE = "installed.json"
"""Says which file serves and which one served before; the only file that decides."""

VERIFY_LIMIT_S = 120.0
"""How long a model may take to be checked; a Raspberry Pi Zero 2 W needs a few seconds."""

_FILE = re.compile(r"[0-9a-f]{64}\.tflite")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Installed:
    """What is installed.

    Attributes:
        current: the file that serves; None is the shipped model.
        previous: the one that served before it; None is the shipped model.
    """

    current: Path | None
    previous: Path | None


def folder() -> Path:
    """Where installed models lie: `models` in systemd's state directory, else in the user's data directory."""
    return data_folder() / "models"


def installed() -> Installed:
    """What is installed; nothing where nobody ever installed a model, or the record is unreadable."""
    try:
        names = json.loads((folder() / STATE).read_text(encoding="utf-8"))
        return Installed(_named(names["current"]), _named(names["previous"]))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.error("%s cannot be read (%s); the shipped model serves", folder() / STATE, error)
    return Installed(None, None)


def serving(setting: str) -> Path:
    """The model file that a run with this `model` setting takes.

    A setting wins. Else it is the installed model, or where that one is damaged or lost the one before it,
    or the shipped one.
    """
    if setting:
        return shipped.model_path(setting)
    now = installed()
    for path in (now.current, now.previous):
        if path is None:
            break
        try:
            model_file.read(path)
            return path
        except ModelFileError as error:
            _log.error("the installed model cannot be used: %s", error)
    return shipped.shipped_model()


Mark = tuple[int, int] | None


def mark_of(setting: str) -> Mark:
    """What changes with every installation that a run with this `model` setting takes: the record is a new file."""
    try:
        found = (folder() / STATE).stat()
    except OSError:
        return None
    return None if setting else (found.st_ino, found.st_mtime_ns)


def verify_apart(path: Path) -> None:
    """Check a model file as the runtime does, in a process of its own: it may crash there.

    Raises:
        ModelFileError: it is refused, or its check crashes or does not end.
    """
    command = [sys.executable, "-m", "fer_edge", "model", "verify", str(path)]
    try:
        done = subprocess.run(command, check=False, capture_output=True, timeout=VERIFY_LIMIT_S, text=True)
    except subprocess.TimeoutExpired as error:
        raise ModelFileError(f"{path} was not verified within {VERIFY_LIMIT_S:g} s; it is refused") from error
    if done.returncode < 0:
        raise ModelFileError(f"{path} crashes the TFLite runtime (signal {-done.returncode}); it is refused")
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise ModelFileError(said[-1].removeprefix("fer-edge: "))


def install(path: Path, *, verify: Callable[[Path], None] = verify_apart) -> ModelFile:
    """Verify a model file and let it serve from now on; running processes take it over by themselves.

    Whenever this is interrupted, by a power cut too, either the new model serves or the one before.

    Args:
        path: any model file; it is copied.
        verify: the check on the runtime, given the copy.

    Raises:
        ModelFileError: it is refused; what served goes on.
        UsageError: it does not exist, or the folder cannot be written.
    """
    if not path.is_file():
        raise UsageError(f"model {path} does not exist; give a file that fer-convert made")
    model = model_file.read(path)
    check_network(model.flatbuffer, model.name)
    data = model.to_bytes()
    with _locked():
        target = folder() / f"{sha256(data).hexdigest()}.tflite"
        with replacing(target) as copy:
            copy.write_bytes(data)
            try:
                verify(copy)
            except ModelFileError as error:
                raise ModelFileError(str(error).replace(str(copy), str(path))) from error
        now = installed()
        # Anew where it was there already, too: it may have been damaged, and running processes look at the record.
        _record(now if now.current == target else Installed(target, now.current))
    return model


def rollback(*, verify: Callable[[Path], None] = verify_apart) -> Path | None:
    """Let the model serve again that served before; twice is back again.

    Args:
        verify: the check on the runtime.

    Returns:
        The file; None is the shipped model.

    Raises:
        UsageError: no model was ever installed, or the folder cannot be written.
        ModelFileError: the one before is damaged.
    """
    with contextlib.suppress(PermissionError):  # the lock says it
        if not (folder() / STATE).exists():
            raise UsageError("no model was installed here, so there is none to go back to; the shipped one serves")
    with _locked():
        now = installed()
        if now.previous is not None:
            verify(now.previous)
        _record(Installed(now.previous, now.current))
    return now.previous


class ModelSwap:
    """Brings a changed model into a running loop, or leaves the one that runs.

    Args:
        loop: whose classifier is replaced between two frames.
        setting: `model`, as of the run.
        threads: of the classifier.
        since: `mark_of` from before that model was chosen, so that an installation in between is not missed.
    """

    def __init__(self, loop: Loop, setting: str, *, threads: int, since: Mark) -> None:
        self._loop, self._setting, self._threads = loop, setting, threads
        self._seen = since
        self._wanted = threading.Event()
        self._worker: threading.Thread | None = None

    def poll(self) -> None:
        """Reload where another model was installed since; cheap, to be called every now and then."""
        mark = mark_of(self._setting)
        if mark != self._seen:
            self._seen = mark
            self._wanted.set()
        if self._wanted.is_set() and (self._worker is None or not self._worker.is_alive()):
            self._wanted.clear()
            self._worker = threading.Thread(target=self._reload, name="model swap", daemon=True)
            self._worker.start()

    def request(self) -> None:
        """Reload at the next poll, whether something changed or not; safe in a signal handler."""
        self._wanted.set()

    def _reload(self) -> None:
        running = self._loop.classifier
        try:
            path = serving(self._setting)
            verify_apart(path)
            classifier = litert.load(path, threads=self._threads)
            if classifier.labels != running.labels:
                raise ModelFileError(
                    f"{path} has the labels {', '.join(classifier.labels)} and this run others; restart fer-edge for it"
                )
        except (FerError, OSError) as error:
            _log.error("%s; the model that runs goes on", error)
            return
        self._loop.classifier = classifier
        _log.warning("model %s took over, sha256 %s", classifier.model.name, classifier.model.sha256[:12])


def _named(name: str | None) -> Path | None:
    if name is None:
        return None
    if not _FILE.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of an installed model")
    return folder() / name


def _record(state: Installed) -> None:
    names = {"current": state.current and state.current.name, "previous": state.previous and state.previous.name}
    write_text(folder() / STATE, json.dumps(names) + "\n")
    # What neither serves nor can be gone back to, copies that an interruption left behind included.
    for path in folder().iterdir():
        if path.name not in (*names.values(), STATE):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """One installation at a time; the lock goes with its process."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        handle = os.open(folder(), os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
    except OSError as error:
        if isinstance(error, FerError):
            raise
        raise UsageError(
            f"{folder()} cannot be written ({error.strerror}); run this as the service's user or set STATE_DIRECTORY"
        ) from error
