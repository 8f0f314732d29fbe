"""The live page: what the loop sees and says, in a browser."""

from fer_edge.preview.access import Address
from fer_edge.preview.preview import MODES, Preview, PreviewOptions

__all__ = ["MODES", "Address", "Preview", "PreviewOptions"]
