"""The TFLite runtime of this machine: which one there is, and how a network is opened on it."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

from fer_edge.contract.errors import UsageError

log = logging.getLogger(__name__)


def open_interpreter(flatbuffer: bytes, *, threads: int) -> tuple[Any, str]:
    """An interpreter with its tensors allocated, and the name of the runtime it belongs to.

    Args:
        flatbuffer: a .tflite network.
        threads: of the runtime.

    Raises:
        UsageError: no TFLite runtime is installed.
        ValueError, RuntimeError: the runtime cannot load this network.
    """
    interpreter_class, runtime = _interpreter_class()
    with _without_chatter():
        interpreter = interpreter_class(model_content=flatbuffer, num_threads=threads)
        interpreter.allocate_tensors()
    return interpreter, runtime


def _interpreter_class() -> tuple[Any, str]:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as missing:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError:
            raise UsageError("no TFLite runtime is installed; run: pip install ai-edge-litert") from missing
        log.warning("ai-edge-litert is not installed; using tflite-runtime, which is slower and no longer maintained")
        return Interpreter, "tflite-runtime"
    return Interpreter, "ai-edge-litert"


_CHATTER = threading.Lock()


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Keep the runtime's INFO lines, which no setting turns off, from standard error; all else goes through.

    One thread at a time: of two the later one would put the other's memory in standard error's place for good.
    """
    with _CHATTER:
        try:
            stderr = os.dup(2)
        except OSError:  # closed: there is nothing to keep clean
            yield
            return
        if sys.stderr is not None:
            sys.stderr.flush()
        with _heard_apart(stderr):
            yield


@contextlib.contextmanager
def _heard_apart(stderr: int) -> Iterator[None]:
    # In memory: a read-only system may have no folder for temporary files.
    with os.fdopen(os.memfd_create("stderr"), "w+b") as heard:
        os.dup2(heard.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            heard.seek(0)
            for line in heard:
                if not line.startswith(b"INFO: "):
                    os.write(2, line)
