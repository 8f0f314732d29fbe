"""A virtual environment with the package `fer` in it, kept between comparisons."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from fer_edge.contract.errors import FerError
from fer_edge.contract.files import write_text

PEER = "fer==25.10.3"
_TENSORFLOW = "tensorflow-cpu" if sys.platform == "linux" and platform.machine() == "x86_64" else "tensorflow"
PEER_NEEDS = (
    # Without the first two fer 25.10.3 does not even import today.
    "setuptools<81", "opencv-contrib-python<5", _TENSORFLOW,
    "pandas", "requests", "tqdm", "moviepy>=1.0.3,<2", "ffmpeg-python", "Pillow", "matplotlib",
)  # fmt: skip
"""All that `fer` demands but facenet-pytorch: PyTorch and CUDA, gigabytes for a detector that is not its default."""


def default_folder(cache: Path) -> Path:
    """Where the peer's environment is kept, below the user's cache folder."""
    return cache / "fer-edge" / "peers" / f"{PEER.replace('==', '-')}-py{sys.version_info[0]}.{sys.version_info[1]}"


def python_in(folder: Path, say: Callable[[str], None] = lambda _: None) -> Path:
    """Python of a virtual environment with the peer in it, made where it is not there yet.

    Args:
        folder: of the environment.
        say: called with a sentence before minutes are spent.

    Raises:
        FerError: it cannot be made; nothing but the network is needed.
    """
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    wanted = "\n".join((PEER, *PEER_NEEDS)) + "\n"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    say(f"installing {PEER} with TensorFlow into {folder} (600 MB to download; once)")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--retries", "1"]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for command in (
            [sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)],
            [*pip, "install", "--quiet", "--no-deps", PEER],
            [*pip, "install", "--quiet", *PEER_NEEDS],
        ):
            subprocess.run(command, check=True, capture_output=True, text=True)
        write_text(stamp, wanted)
    except OSError as error:
        raise FerError(f"{folder} cannot be written ({error.strerror}); name another with --venv") from error
    except subprocess.CalledProcessError as error:
        said = [line for line in error.stderr.splitlines() if line.startswith("ERROR")] or ["it said nothing"]
        why = said[-1].removeprefix("ERROR: ")
        raise FerError(f"{PEER} could not be installed ({why}); this comparison needs the network once") from error
    return python
