import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from result_schema import validate

from fer_bench import framing, results
from fer_bench.environment import environment
from fer_edge.records import Framing
from fer_edge.service import config

_PIXEL = st.floats(-500, 500)
_SIZE = st.floats(20, 400)


@given(st.tuples(_PIXEL, _PIXEL, _SIZE, _SIZE), st.tuples(_PIXEL, _PIXEL, _SIZE))
def test_framing_with_the_measured_offset_is_the_picture(box, picture):
    x, y, side = picture
    scale, rise, shift = framing.offset(box, (x, y, side, side))
    left, top, width, height = Framing(scale, rise).square(box)
    assert (left + shift * box[2], top, width, height) == pytest.approx((x, y, side, side), abs=1e-6)


def test_eyes_are_measured_in_the_picture():
    eyes = ((130.0, 140.0), (170.0, 140.0 + 40.0))
    assert framing.eyes_in_picture(eyes, (100.0, 100.0, 100.0, 100.0)) == pytest.approx((0.3, 0.4, 0.7, 0.8, 45.0))
    assert framing.roll_degrees(((0.0, 0.0), (10.0, -10.0))) == pytest.approx(-45.0)


def test_a_level_crop_turns_a_slanted_edge_upright():
    rows, columns = np.mgrid[0:300, 0:300]
    angle = np.deg2rad(20)
    slanted = np.where(-np.sin(angle) * (columns - 150) + np.cos(angle) * (rows - 150) > 0, 220, 30).astype(np.uint8)
    eyes = ((100.0, 150 - 50 * np.tan(angle)), (200.0, 150 + 50 * np.tan(angle)))
    crop = framing.level_crop(slanted, (102.0, 102.0, 96.0, 96.0), eyes, 48)
    assert crop.shape == (48, 48)
    assert crop[:22].max() < 60
    assert crop[27:].min() > 190


def test_a_level_crop_of_level_eyes_is_the_plain_crop():
    rows, columns = np.mgrid[0:300, 0:300]
    image = (128 + 60 * np.sin(rows / 40) + 50 * np.cos(columns / 30)).astype(np.uint8)
    square = (60.0, 80.0, 144.0, 144.0)
    level = framing.level_crop(image, square, ((100.0, 120.0), (160.0, 120.0)), 48)
    plain = framing.crop_gray(image, square, 48)
    assert np.abs(level.astype(int) - plain).max() <= 2


def test_eyes_that_tell_half_of_a_roll_have_half_a_slope():
    rolls = np.array([-30.0, -10.0, 0.0, 20.0])
    assert framing._seen(np.column_stack((rolls, 0.5 * rolls + 3))) == {"slope": 0.5, "correlation": 1.0}


def test_one_noisy_cell_is_not_the_best():
    loss = np.ones((7, 5))
    loss[4:7, 1:4] = 0.8
    loss[0, 4] = 0.6
    assert framing.best_cell(loss) == (5, 2)


def test_constants_come_from_the_data(yunet, faces, tmp_path):
    settings = config.load(flags={"detector": "yunet"}, environment={})
    seen = []
    content = framing.measure(faces, "Training", [settings], limit=4, seed=2, on_picture=seen.append)
    assert sum(seen) == 2 * 4
    result = results.result("framing", environment(["framing"]), **content)
    validate(result)
    (entry,) = content["detectors"]
    assert np.shape(entry["accuracy"]) == np.shape(entry["log_loss"]) == (len(framing.SCALES), len(framing.RISES))
    assert 0.7 < entry["side_over_box"]["p50"] < 1.5
    best = entry["best"]
    row, column = content["scales"].index(best["scale"]), content["rises"].index(best["rise"])
    assert entry["accuracy"][row][column] == best["accuracy"] == best["versus_present"]["after"]
    assert best["versus_present"]["before"] == entry["present"]["accuracy"]
    assert entry["eyes"]["left_x"]["p50"] < entry["eyes"]["right_x"]["p50"]
    assert entry["roll"]["as_they_are"]["before"] == entry["present"]["accuracy"]
    assert -1 <= entry["roll"]["seen"]["correlation"] <= 1
    assert "side of the picture" in framing.table(result) and "of the roll of turned pictures" in framing.table(result)
    framing.plot(tmp_path / "framing.png", result)
    assert (tmp_path / "framing.png").stat().st_size > 1000
