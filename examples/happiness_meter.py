"""A bar at the terminal that is as long as the happiest face is happy.

python examples/happiness_meter.py
"""

import sys

from fer_edge import Pipeline

WIDTH = 50

with Pipeline(sys.argv[1] if len(sys.argv) > 1 else "auto", max_fps=15) as results:
    for result in results:
        happy = result.labels.index("happy")
        most = max((float(face.probabilities[happy]) for face in result.faces), default=0.0)
        print(f"\r{'█' * round(WIDTH * most):<{WIDTH}} {most:4.0%}", end="", flush=True)
print()
