"""What goes on without a part that failed, and says so at its end."""

from __future__ import annotations

import abc
import logging
from types import TracebackType
from typing import Self

from fer_edge.contract.errors import FerError

_log = logging.getLogger(__name__)


class Closing(abc.ABC):
    """A context manager that closes itself, and then raises the failure it went on without.

    Where something else is being raised already, that goes on instead, and the failure is in the log at least.
    """

    _failure: FerError | None = None
    _said = False

    def _fail(self, error: FerError, *, said: bool) -> None:
        """Go on without what failed; the first failure counts.

        Args:
            error: why.
            said: it is in the log already.
        """
        if self._failure is None:
            self._failure, self._said = error, said

    @abc.abstractmethod
    def close(self) -> None:
        """End it; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        if self._failure is None:
            return
        if error is None:
            raise self._failure
        if not self._said:
            _log.error("%s", self._failure)
