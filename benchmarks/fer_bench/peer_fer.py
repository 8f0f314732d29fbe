"""Run by the Python of a virtual environment that holds the package `fer`, never imported by us.

    python peer_fer.py once CLIP EVENTS MAX_FRAMES   decode a clip, one line of JSON for each frame with a face
    python peer_fer.py rounds FRAMES.npy             one line of JSON for each line read, after a first one

`FRAMES.npy` holds uint8, (n, height, width, 3) BGR. The detector is the package's default.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO


def once(answers: TextIO, clip: str, events: str, max_frames: str) -> None:
    import cv2
    from fer.fer import FER  # type: ignore[import-not-found]

    detector = FER()
    capture = cv2.VideoCapture(clip)
    with Path(events).open("w", buffering=1) as stream:
        for number in range(int(max_frames)):
            good, frame = capture.read()
            if not good:
                break
            found = detector.detect_emotions(frame)
            if found:
                stream.write(json.dumps({"frame": number, "faces": _plain(found)}) + "\n")


def rounds(answers: TextIO, frames_file: str) -> None:
    import numpy as np

    began = time.perf_counter()
    from fer.fer import FER

    imported = time.perf_counter()
    detector = FER()
    loaded = time.perf_counter()
    frames = np.load(frames_file)
    # As a decoder does, and as the other side has it.
    frame = np.empty_like(frames[0])
    answers.write(
        json.dumps({"import_s": imported - began, "load_s": loaded - imported, "versions": _versions()}) + "\n"
    )
    for _ in sys.stdin:
        ms, faces = [], []
        for decoded in frames:
            np.copyto(frame, decoded)
            began = time.perf_counter()
            found = detector.detect_emotions(frame)
            ms.append((time.perf_counter() - began) * 1e3)
            faces.append(len(found))
        answers.write(json.dumps({"ms": ms, "faces": faces}) + "\n")


def _versions() -> dict[str, str]:
    import platform
    from importlib import metadata

    found = {"python": platform.python_version()}
    for package in ("fer", "numpy", "opencv-contrib-python", "tensorflow", "tensorflow-cpu"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _plain(faces: list[Any]) -> list[Any]:
    return [{"box": [int(v) for v in face["box"]], "emotions": face["emotions"]} for face in faces]


if __name__ == "__main__":
    # TensorFlow and the package write to standard output as well; it is ours for the answers.
    with os.fdopen(os.dup(1), "w", buffering=1) as given:
        os.dup2(2, 1)
        (once if sys.argv[1] == "once" else rounds)(given, *sys.argv[2:])
