"""Every face of one picture with all its probabilities.

python examples/one_picture.py photo.jpg
"""

import sys

from fer_edge import Pipeline
from fer_edge.contract.errors import FerError

if len(sys.argv) < 2:
    sys.exit(__doc__)
try:
    for result in Pipeline(sys.argv[1]):
        print(f"{result.name}: {len(result.faces)} face{'' if len(result.faces) == 1 else 's'}")
        for face in result.faces:
            x, y, width, height = (round(value) for value in face.box)
            print(f"\n{width}x{height} pixels at {x}, {y}")
            for probability, label in sorted(zip(face.probabilities, result.labels, strict=True), reverse=True):
                print(f"  {label:<10}{probability:6.1%}  {'#' * round(40 * probability)}")
except FerError as error:
    sys.exit(str(error))
