from __future__ import annotations

import numpy as np
import pytest

from fer_edge.contract.grey import GREYS, grey

WEIGHTS = {"bt601": (0.299, 0.587, 0.114), "bt709": (0.213, 0.715, 0.072)}


@pytest.mark.parametrize("kind", GREYS)
def test_weights_of_red_green_and_blue(kind: str) -> None:
    rng = np.random.default_rng(0)
    bgr = rng.integers(0, 256, (20, 30, 3), np.uint8)
    wanted = bgr[..., ::-1].astype(float) @ WEIGHTS[kind]
    made = grey(bgr, kind)
    assert made.dtype == np.uint8 and made.shape == (20, 30)
    assert np.abs(made - wanted).max() <= 1.0


@pytest.mark.parametrize("kind", GREYS)
def test_black_white_and_grey_stay_what_they_are(kind: str) -> None:
    levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert (grey(levels, kind)[0] == np.arange(256)).all()
    already = levels[..., 0]
    assert grey(already, kind) is already
