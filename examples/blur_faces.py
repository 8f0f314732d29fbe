"""Write a clip anew with every face that is found made unrecognisable.

A face that the detector misses stays as it is: look at the result before you show it to anybody.

python examples/blur_faces.py clip.mkv blurred.avi
"""

import sys

import cv2

from fer_edge.contract.errors import FerError
from fer_edge.faces import open_detector
from fer_edge.frames import SourceOptions, open_source

if len(sys.argv) < 3:
    sys.exit(__doc__)
try:
    source = open_source(sys.argv[1], SourceOptions())
except FerError as error:
    sys.exit(str(error))
detector = open_detector("auto")
writer = None
while (frame := source.read()) is not None:
    picture = frame.image.copy()
    for detection in detector.detect(frame):
        x, y, width, height = (max(0, round(value)) for value in detection.box)
        face = picture[y : y + height, x : x + width]
        face[:] = cv2.blur(face, (width // 2, height // 2))
    writer = writer or cv2.VideoWriter(sys.argv[2], cv2.VideoWriter.fourcc(*"MJPG"), 30, frame.size)
    writer.write(picture)
source.close()
if writer is not None:
    writer.release()
