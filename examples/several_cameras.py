"""Two cameras or more in one process, a thread each.

python examples/several_cameras.py /dev/video0 /dev/video2
"""

import sys
from threading import Thread

from fer_edge import Pipeline


def watch(source: str) -> None:
    with Pipeline(source, max_fps=10) as results:
        for result in results:
            for face in result.faces:
                print(f"{source}: face {face.id} {face.stable}\n", end="", flush=True)


if len(sys.argv) < 2:
    sys.exit(__doc__)
threads = [Thread(target=watch, args=(source,)) for source in sys.argv[1:]]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
