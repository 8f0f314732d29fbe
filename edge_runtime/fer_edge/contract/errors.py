"""Every error that fer-edge raises on purpose.

    FerError (Exception)                      exit 1
    ├── UsageError (ValueError)               exit 2
    │   └── MissingExtraError (ImportError)   exit 2
    ├── ConfigError (ValueError)              exit 78
    ├── DataError (ValueError)                exit 1
    ├── ModelFileError (ValueError)           exit 1
    ├── QualityError (RuntimeError)           exit 1
    ├── SourceError (OSError)                 exit 1
    │   └── SourceHungError                   exit 1
    ├── DetectorError (RuntimeError)          exit 1
    ├── ServiceError (OSError)                exit 1
    └── PublishError (OSError)                exit 1
        └── ReaderGoneError                   exit 0

A message is one sentence that says what happened, where, and what to do.
"""

from __future__ import annotations

from typing import ClassVar


class FerError(Exception):
    """Root of all errors that fer-edge raises on purpose."""

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        # OSError and ImportError format their own arguments; ours is always one sentence.
        return str(self.args[0]) if self.args else type(self).__name__


class UsageError(FerError, ValueError):
    """A flag or an argument that cannot be used as given."""

    exit_code = 2


class MissingExtraError(UsageError, ImportError):
    """A command needs an optional extra that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the {extra!r} extra: pip install 'fer-edge[{extra}]'")


class ConfigError(FerError, ValueError):
    """A setting that is unknown or out of range; systemd must not restart on it."""

    exit_code = 78


class DataError(FerError, ValueError):
    """A data set that is missing, malformed or empty."""


class ModelFileError(FerError, ValueError):
    """A model file that is damaged, foreign, or computes something else than it promises."""


class QualityError(FerError, RuntimeError):
    """A model that was made correctly but is worse than what was asked for."""


class SourceError(FerError, OSError):
    """A frame source that is absent, busy, damaged, or that stopped."""


class SourceHungError(SourceError):
    """A frame source stuck inside its driver: only a new process can open it again."""


class DetectorError(FerError, RuntimeError):
    """A face detector that cannot be loaded."""


class ServiceError(FerError, OSError):
    """A systemd service that cannot be installed, removed, started or asked."""


class PublishError(FerError, OSError):
    """A sink that cannot take events."""


class ReaderGoneError(PublishError):
    """Whoever read our standard output has left (`| head`): a clean end."""

    exit_code = 0
