"""A table for a spreadsheet: one row for each face in each frame.

python examples/csv_log.py clip.mkv > faces.csv
"""

import csv
import sys
from datetime import UTC, datetime

from fer_edge import Pipeline
from fer_edge.contract.errors import FerError

if len(sys.argv) < 2:
    sys.exit(__doc__)
table = csv.writer(sys.stdout)
table.writerow(["time", "frame", "face", "stable", "expression", "confidence"])
try:
    for result in Pipeline(sys.argv[1]):
        time = datetime.fromtimestamp(result.time, UTC).isoformat(timespec="milliseconds")
        for face in result.faces:
            table.writerow([time, result.seq, face.id, face.stable, face.expression, f"{face.confidence:.3f}"])
except FerError as error:
    sys.exit(str(error))
