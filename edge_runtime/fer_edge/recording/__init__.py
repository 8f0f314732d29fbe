"""What was seen, as a file: frames, and the moments they were taken at."""

from fer_edge.recording.recorder import Recorder

__all__ = ["Recorder"]
