"""Haar and YuNet on the same clip: faces found and time a frame.

python examples/compare_detectors.py clip.mkv
"""

import sys

from fer_edge import Pipeline
from fer_edge.contract.errors import FerError

if len(sys.argv) < 2:
    sys.exit(__doc__)
for detector in ("haar", "yunet"):
    try:
        results = list(Pipeline(sys.argv[1], detector=detector))
    except FerError as error:
        print(f"{detector:<6} {error}")
        continue
    times = sorted(result.stages_ms["detect"] for result in results)
    faces = sum(len(result.faces) for result in results)
    print(f"{detector:<6} {faces} faces in {len(results)} frames, median {times[len(times) // 2]:.1f} ms")
