"""The constants of the quantized YuNet come from the data."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fer_edge.faces.yunet_network import RANGES

SCRIPT = Path(__file__).parents[2] / "scripts" / "yunet-ranges"


@pytest.mark.slow
@pytest.mark.usefixtures("yunet")
def test_the_script_measures_the_ranges_that_are_in_the_code(fer_data: Path) -> None:
    data = fer_data / "fer2013" / "fer2013.csv.gz"
    if not data.exists():
        pytest.skip("FER2013 is not there")
    done = subprocess.run([sys.executable, SCRIPT, data], capture_output=True, text=True, timeout=600, check=True)
    measured = ast.literal_eval(f"[{done.stdout}]")
    # Kernels of another processor add in another order.
    np.testing.assert_allclose(measured, RANGES, atol=0.02)
