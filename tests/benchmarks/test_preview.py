import time

import jsonschema
import numpy as np
import pytest

from fer_bench import preview, results
from fer_bench.environment import environment
from fer_edge.contract.errors import FerError
from fer_edge.service import config

IMAGES = [np.full((4, 4, 3), level, np.uint8) for level in (10, 20, 30)]


@pytest.mark.slow
def test_the_page_is_watched_while_it_is_measured(demo_picture, tmp_path):
    settings = config.load(flags={"detector": "haar"}, environment={})
    content = preview.measure(settings, window_s=0.5, rounds=1)
    result = results.result("preview", environment(["preview"]), **content)
    jsonschema.validate(result, results.schema())
    for pace in content["paces"].values():
        assert 2 <= pace["pictures_per_s"] <= 20
        assert pace["conditions"]["alone"]["slowdown_percent"] == {"p50": 0, "low_95": 0, "high_95": 0}
        assert pace["conditions"]["watched"]["page_core_percent"] > pace["conditions"]["alone"]["page_core_percent"]
    table = preview.table(result)
    assert all(title in table for title in (*preview.PACES.values(), *preview.CONDITIONS.values()))
    preview.plot(tmp_path / "preview.png", result)
    assert (tmp_path / "preview.png").stat().st_size > 1000


def test_a_window_counts_what_is_done_with_its_frames_and_no_wait_for_the_camera():
    window = preview._Window(IMAGES, 0.3, fps=20)
    levels, worked = [], 0.0
    while (frame := window.read()) is not None:
        assert frame.live
        levels.append(int(frame.image[0, 0, 0]))
        began = time.perf_counter()
        time.sleep(0.01)
        worked += time.perf_counter() - began
    assert 1 <= window.frames <= 6 <= window.frames + window.dropped
    assert levels[0] == 10 and set(levels) <= {10, 20, 30}
    assert worked <= window.busy_s <= window.wall_s
    assert window.processor_s < window.busy_s
    assert window.wall_s >= 0.3


def test_a_window_flat_out_is_a_film_that_never_waits():
    window = preview._Window(IMAGES, 0.05, fps=None)
    times = []
    while (frame := window.read()) is not None:
        assert not frame.live
        times.append(frame.captured)
    assert window.frames == len(times) > 10
    assert np.diff(times) == pytest.approx(1 / preview.FPS)
    assert window.dropped == 0


def test_pairs_are_of_the_same_round_and_the_first_one_warms_up():
    def window(busy_s, frames):
        made = preview._Window(IMAGES, 1.0, fps=None)
        made.busy_s, made.processor_s, made.wall_s, made.frames = busy_s, busy_s / 2, 1.0, frames
        made.page_processor_s = 0.02
        return made

    # The machine gets slower from round to round; the page always costs 2 % of a frame's time.
    alone = [window(speed, 100) for speed in (9.0, 0.2, 0.4, 0.8)]
    watched = [window(1.02 * each.busy_s / 2, 50) for each in alone]
    found = preview._figures(
        {"alone": alone, "unwatched": alone, "watched": watched}, [(99, 1.0)] * 2 + [(15, 1.0), (30, 2.0)] * 3
    )
    assert found["pictures_per_s"] == 15
    more = found["conditions"]["watched"]
    assert more["slowdown_percent"] == {"p50": 2, "low_95": 2, "high_95": 2} == more["loop_processor_percent"]
    assert (more["frame_ms"], more["page_core_percent"]) == (4.08, 2)


def test_a_viewer_that_died_is_said():
    nobody_listens = 1
    with (
        preview._Viewers(nobody_listens) as viewers,
        pytest.raises(FerError, match="a viewer of the live page ended"),
        viewers.watching(),
    ):
        pass
