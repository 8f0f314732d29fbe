"""A LED on GPIO 17 that is the brighter the happier the happiest face is.

For on and off alone no Python is needed: fer-edge run --publish gpio:17=happy

python examples/led_on_happy.py
"""

import sys

from gpiozero import PWMLED

from fer_edge import Pipeline

led = PWMLED(17)
with Pipeline(sys.argv[1] if len(sys.argv) > 1 else "auto") as results:
    for result in results:
        happy = result.labels.index("happy")
        led.value = max((float(face.probabilities[happy]) for face in result.faces), default=0.0)
        print(f"{led.pin}: {led.value:.2f}")
led.off()
