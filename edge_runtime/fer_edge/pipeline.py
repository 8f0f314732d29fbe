"""The loop for programs: frames in, results out, in three lines."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from fer_edge.contract.errors import SourceError
from fer_edge.records import FrameResult
from fer_edge.service.config import Settings, load


class Pipeline:
    """Results of a source, one a frame, until it ends.

    >>> from fer_edge import Pipeline
    >>> for result in Pipeline("demo", max_frames=20):
    ...     labels = [face.stable for face in result.faces]
    >>> labels
    ['happy']

    Nothing is published, shown or stored. The source is open from the first result to the last, or to
    `close`; a `with` statement closes it wherever the loop is left.

    Args:
        source: camera, file, folder, address or `demo`, as of `fer-edge run --source`.
        config: settings file; the FER_EDGE_* variables count as well.
        settings: any other setting by its name (`fer-edge config schema` lists them), such as
            `detector="haar"` or `max_fps=10`.

    Raises:
        UsageError: a setting is unknown or its value unusable.
        ConfigError: the same in the settings file or the environment.
    """

    settings: Settings

    def __init__(self, source: str | Path | None = None, *, config: Path | None = None, **settings: Any) -> None:
        self.settings = load(config, flags={"source": None if source is None else str(source), **settings})
        self._open = contextlib.ExitStack()
        self._closed = threading.Event()
        self._results: Iterator[FrameResult] | None = None

    def __iter__(self) -> Iterator[FrameResult]:
        """Yield one result a frame (`fer_edge.records.FrameResult`).

        Raises:
            FerError: a part cannot be opened, or the source failed.
        """
        if self._results is None:
            self._results = self._run()
        return self._results

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the source; no more results come, in a loop that is under way neither. From any thread."""
        self._closed.set()
        self._results = iter(())
        self._open.close()

    def _run(self) -> Iterator[FrameResult]:
        # OpenCV and LiteRT are loaded only by those who look at frames.
        from fer_edge.frames import open_source
        from fer_edge.service.run import make_classifier, make_detector, make_loop, source_options

        with self._open:
            classifier, detector = make_classifier(self.settings), make_detector(self.settings)
            source = open_source(self.settings.source, source_options(self.settings))
            self._open.callback(source.close)
            loop = make_loop(self.settings, source, detector, classifier)
            try:
                for number, result in enumerate(loop.results(self._closed), start=1):
                    yield result
                    if number == self.settings.max_frames:
                        break
            except SourceError:
                # A source that is closed under a read says so.
                if not self._closed.is_set():
                    raise
