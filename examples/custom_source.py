"""A source of your own: here a folder that another program drops pictures into, watched for ever.

python examples/custom_source.py drop/
"""

import sys
import time
from pathlib import Path

import cv2

from fer_edge.records import Frame
from fer_edge.service import config
from fer_edge.service.run import make_classifier, make_detector, make_loop


class DropFolder:
    dropped = 0

    def __init__(self, folder: Path) -> None:
        self._folder, self._seen = folder, set[Path]()

    def read(self) -> Frame | None:
        for path in sorted(set(self._folder.iterdir()) - self._seen):
            self._seen.add(path)
            if (image := cv2.imread(str(path))) is not None:
                facts = {"source": "drop", "name": path.name, "independent": True}
                return Frame(image=image, time=time.time(), captured=time.monotonic(), **facts)
        time.sleep(0.5)
        raise TimeoutError("no new picture yet")

    def close(self) -> None: ...


if len(sys.argv) < 2 or not Path(sys.argv[1]).is_dir():
    sys.exit(__doc__)
settings = config.load()
loop = make_loop(settings, DropFolder(Path(sys.argv[1])), make_detector(settings), make_classifier(settings))
for result in loop.results():
    print(result.name, [face.expression for face in result.faces], flush=True)
