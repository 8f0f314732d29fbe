"""A camera or stream that comes back: opened again with back-off, whatever made it stop."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable

from fer_edge.contract.errors import FerError, SourceError, SourceHungError
from fer_edge.records import Frame
from fer_edge.seams import FrameSource

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
"""Pauses before opening again, doubled each time; the first again once frames came for longer than the last pause."""

CLOSE_LIMIT_S = 3.0
OPEN_LIMIT_S = 15.0
"""How long closing and opening may take before the driver counts as hung; the sources' own limits are shorter."""

WAIT_S = 0.8
"""How long one `read` waits for a source that is being opened again."""

CLOSE_TIMEOUT_S = 0.5

_log = logging.getLogger(__name__)


class Reopening:
    """A live source that is opened again whenever it stops; satisfies `FrameSource`.

    The first opening is the constructor's, and fails as the source does: a camera that never was there needs
    a person. One that has delivered a frame and stops gets its cable, its network or its size back as a rule.
    Closing and opening happen in a thread of their own, so that `read` always returns.

    Attributes:
        reopened: how often it was opened again.
        trouble: the sentence that says what stopped it, while it is away; else None.
    """

    def __init__(self, name: str, open_source: Callable[[], FrameSource]) -> None:
        """Open it.

        Args:
            name: for messages, without credentials.
            open_source: opens the source; called again, in another thread, each time it stopped.

        Raises:
            FerError: as the source.
        """
        self.name = name
        self.reopened = 0
        self.trouble: str | None = None
        self._open = open_source
        self._source: FrameSource | None = open_source()
        self._dropped_before = 0
        self._delivered = False
        self._pause_s = FIRST_PAUSE_S
        self._lost_at = self._back_at = time.monotonic()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._worker: threading.Thread | None = None
        self._work_due: float | None = None
        self._hung: SourceHungError | None = None

    @property
    def dropped(self) -> int:
        """As the source's, over all its openings."""
        source = self._source
        return self._dropped_before + (0 if source is None else source.dropped)

    def read(self) -> Frame | None:
        """The next frame; None at the source's end.

        Raises:
            TimeoutError: none yet, also while the source is away.
            SourceHungError: it does not come back from its driver.
            FerError: it failed before it had delivered a frame.
        """
        source = self._present()
        try:
            frame = source.read()
        except SourceHungError:
            raise
        except FerError as error:
            # Whatever it is, the settings are those that worked before.
            if not self._delivered:
                raise
            self._lose(source, error)
            raise TimeoutError(str(error)) from error
        if frame is not None:
            self._arrived()
        return frame

    def close(self) -> None:
        """Let it go, within half a second even where it is being opened; may be called twice."""
        self._closing.set()
        with self._changed:
            source, self._source = self._source, None
        if self._worker is not None:
            self._worker.join(CLOSE_TIMEOUT_S)
        if source is not None:
            self._dropped_before += source.dropped
            source.close()

    def _present(self) -> FrameSource:
        with self._changed:
            self._changed.wait_for(lambda: self._source is not None or self._hung is not None, WAIT_S)
            if self._source is not None:
                return self._source
            if self._hung is not None:
                raise self._hung
            due = self._work_due
        if self._closing.is_set():
            raise SourceError(f"{self.name} is closed")
        if due is not None and time.monotonic() > due:
            raise SourceHungError(f"{self.name} can be neither closed nor opened again: its driver hangs; restart it")
        raise TimeoutError(f"{self.name} is still away")

    def _arrived(self) -> None:
        now = time.monotonic()
        if self.trouble is not None:
            _log.warning("%s is back after %.1f s", self.name, now - self._lost_at)
            self.trouble, self._back_at = None, now
        elif now - self._back_at > self._pause_s:
            self._pause_s = FIRST_PAUSE_S
        self._delivered = True

    def _lose(self, source: FrameSource, error: FerError) -> None:
        self.trouble, self._lost_at = str(error), time.monotonic()
        _log.warning("%s; trying until it is back", self.trouble)
        with self._changed:
            self._source = None
        self._dropped_before += source.dropped
        self._worker = threading.Thread(
            target=self._bring_back, args=(source,), name=f"reopen {self.name}", daemon=True
        )
        self._worker.start()

    def _bring_back(self, lost: FrameSource) -> None:
        said = self.trouble
        self._work_due = time.monotonic() + CLOSE_LIMIT_S
        with contextlib.suppress(Exception):  # a camera that is gone may fail to say goodbye
            lost.close()
        self._work_due = None
        while not self._closing.wait(self._pause_s):
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            self._work_due = time.monotonic() + OPEN_LIMIT_S
            try:
                source = self._open()
            except SourceHungError as error:
                with self._changed:
                    self._hung = error
                    self._changed.notify_all()
                return
            except Exception as error:  # a driver raises what it likes, and the next attempt may succeed
                _log.log(
                    logging.DEBUG if str(error) == said else logging.INFO, "%s is still away: %s", self.name, error
                )
                said = str(error)
                continue
            finally:
                self._work_due = None
            self._reappear(source)
            return

    def _reappear(self, source: FrameSource) -> None:
        with self._changed:
            if not self._closing.is_set():
                self._source = source
                self.reopened += 1
                self._changed.notify_all()
                return
        source.close()
