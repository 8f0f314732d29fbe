"""What the plots of results share. Colours are Okabe and Ito's, which colour-blind people tell apart too."""

from __future__ import annotations

from fer_edge.contract.colours import BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION
from fer_train.plots import Target, drawing

__all__ = ["COLORS", "GREY", "MARKERS", "Target", "drawing"]

COLORS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE)
MARKERS = ("o", "^", "D", "v", "s")
"""Lines differ in their markers, too, for print in grey."""
