"""Cut the faces out of a folder of pictures as the network sees them; nothing is stored unless you say where.

python examples/face_thumbnails.py photos/
python examples/face_thumbnails.py photos/ --save thumbnails/
"""

import sys
from pathlib import Path

import cv2

from fer_edge.contract.errors import FerError
from fer_edge.faces import open_detector
from fer_edge.faces.framing import crop_gray
from fer_edge.frames import SourceOptions, open_source

if len(sys.argv) < 2:
    sys.exit(__doc__)
folder = Path(sys.argv[3]) if sys.argv[2:3] == ["--save"] else None
try:
    source = open_source(sys.argv[1], SourceOptions())
except FerError as error:
    sys.exit(str(error))
detector = open_detector("auto")
while (frame := source.read()) is not None:
    found = detector.detect(frame)
    print(f"{frame.name}: {len(found)} face{'' if len(found) == 1 else 's'}{'' if folder else ', not stored'}")
    for number, detection in enumerate(found):
        crop = crop_gray(frame.image, detector.framing.square(detection.box), 48)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f"{Path(str(frame.name)).stem}-{number}.png"), crop)
source.close()
