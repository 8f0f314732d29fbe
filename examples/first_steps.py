"""What the faces in front of the camera show; the demo's where there is no camera.

python examples/first_steps.py
"""

from fer_edge import Pipeline

with Pipeline("auto") as results:
    for result in results:
        for face in result.faces:
            print(f"face {face.id}: {face.stable} (this moment: {face.expression}, {face.confidence:.0%})")
