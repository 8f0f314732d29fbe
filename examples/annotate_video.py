"""Boxes and labels drawn into a copy of a clip, for a talk; needs the consent of the people in it.

python examples/annotate_video.py clip.mkv labelled.avi
"""

import sys

import cv2

from fer_edge.contract.errors import FerError
from fer_edge.frames import open_source
from fer_edge.service import config
from fer_edge.service.run import make_classifier, make_detector, make_loop, source_options

if len(sys.argv) < 3:
    sys.exit(__doc__)
settings = config.load(flags={"source": sys.argv[1]})
try:
    source = open_source(settings.source, source_options(settings))
except FerError as error:
    sys.exit(str(error))
loop = make_loop(settings, source, make_detector(settings), make_classifier(settings))
writer = None
for result in loop.results():
    assert loop.frame is not None
    picture = loop.frame.image.copy()
    for face in result.faces:
        x, y, width, height = (round(value) for value in face.box)
        cv2.rectangle(picture, (x, y, width, height), (0, 200, 255), 2)
        cv2.putText(picture, face.stable, (x, y - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 200, 255), 2)
    size = (result.width, result.height)
    writer = writer or cv2.VideoWriter(sys.argv[2], cv2.VideoWriter.fourcc(*"MJPG"), 30, size)
    writer.write(picture)
source.close()
if writer is not None:
    writer.release()
