"""A detector of your own: for pictures that are faces already, the whole frame is the face.

python examples/custom_detector.py crops/
"""

import sys
from collections.abc import Sequence

from fer_edge.contract.errors import FerError
from fer_edge.frames import SourceOptions, open_source
from fer_edge.records import Detection, Frame, Framing
from fer_edge.service import config
from fer_edge.service.run import make_classifier, make_loop


class WholeFrame:
    name = "whole"
    framing = Framing(scale=1.0, rise=0.0)

    def detect(self, frame: Frame, expected: Sequence[Detection] = ()) -> Sequence[Detection]:
        return [Detection((0, 0, frame.image.shape[1], frame.image.shape[0]))]


if len(sys.argv) < 2:
    sys.exit(__doc__)
settings = config.load()
try:
    source = open_source(sys.argv[1], SourceOptions())
except FerError as error:
    sys.exit(str(error))
loop = make_loop(settings, source, WholeFrame(), make_classifier(settings))
for result in loop.results():
    print(result.name, result.faces[0].expression, f"{result.faces[0].confidence:.0%}")
source.close()
