"""Classify a face that you have as an array already, without camera, detector and loop.

python examples/classify_array.py face.png
"""

import sys

import cv2
import numpy as np

from fer_edge.contract import shipped
from fer_edge.expressions import litert

if len(sys.argv) < 2:
    sys.exit(__doc__)
classifier = litert.load(shipped.shipped_model())
picture = cv2.imread(sys.argv[1], cv2.IMREAD_GRAYSCALE)
if picture is None:
    sys.exit(f"{sys.argv[1]} is no picture")
side = classifier.side
face = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)  # uint8, (side, side), grey levels
probabilities = classifier.classify(face)
best = int(np.argmax(probabilities))
print(f"{classifier.labels[best]}, {probabilities[best]:.0%}")
