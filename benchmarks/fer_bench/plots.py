"""What the plots of results share. Colours are Okabe and Ito's, which colour-blind people tell apart too."""

from __future__ import annotations

from fer_train.plots import BLUE, GREEN, ORANGE, VERMILION, drawing

__all__ = ["COLORS", "MARKERS", "drawing"]

COLORS = (BLUE, ORANGE, GREEN, VERMILION)
MARKERS = ("o", "^", "D", "v")
"""Lines differ in their markers, too, for print in grey."""
