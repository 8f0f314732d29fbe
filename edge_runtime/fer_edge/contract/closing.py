"""What goes on without a part that failed, and says so at its end."""

from __future__ import annotations

import abc
from types import TracebackType
from typing import Self

from fer_edge.contract.errors import FerError


class Closing(abc.ABC):
    """A context manager that closes itself, and then raises the failure it went on without.

    Where something else is being raised already, that goes on instead.
    """

    _failure: FerError | None = None

    @abc.abstractmethod
    def close(self) -> None:
        """End it; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        if error is None and self._failure is not None:
            raise self._failure
