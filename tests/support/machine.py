"""What this machine has beyond the checkout, which some tests need to be without."""

from __future__ import annotations

import os

import pytest

from fer_edge.faces.weights import MACHINE_FOLDERS, YUNET_FILE

without_yunet = pytest.mark.skipif(
    any(os.access(folder / YUNET_FILE, os.R_OK) for folder in MACHINE_FOLDERS),
    reason="YuNet's weights are installed for the whole machine, as by fer-edge service install",
)
