import json

import numpy as np
import pytest
from click.testing import CliRunner
from result_schema import validate

from fer_bench import cli, results, smoothing
from fer_edge.contract.labels import FER2013_LABELS
from fer_edge.service import config

SETTINGS = config.load(environment={})
LABELS = np.arange(7).repeat([40, 5, 41, 72, 48, 32, 50])


def sequence(truth, fps=10.0):
    truth = np.array(truth)
    starts = np.flatnonzero(np.diff(truth, prepend=-1))
    return smoothing.LabelledSequence(truth, starts, np.zeros_like(truth), fps)


def test_figures_worked_out_by_hand():
    # 12 frames at 10 a second are 1/50 of a minute.
    truth = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    shown = [-1, 0, 2, 0, 0, 0, 1, -1, 1, 1, 1, 1]
    found = smoothing.judge(np.array(shown), sequence(truth))
    # Wrong are the switch to 2 in the first segment and that to 1 in the third; going back or unsure is not.
    assert found["false_switches_per_min"] == pytest.approx(2 * 50, abs=0.01)
    assert found["delay_s"] == {"p50": 0.15, "p95": 0.195}  # 0.1 and 0.2 s
    assert found["missed"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["right"] == pytest.approx(3 / 12, abs=1e-4)
    assert found["uncertain"] == pytest.approx(2 / 12, abs=1e-4)


def test_a_perfect_and_a_silent_face():
    truth = np.array([0] * 9 + [3] * 8)
    perfect = smoothing.judge(truth, sequence(truth))
    assert perfect == {"false_switches_per_min": 0.0, "delay_s": {"p50": 0.0, "p95": 0.0},
                       "missed": 0.0, "right": 1.0, "uncertain": 0.0}  # fmt: skip
    silent = smoothing.judge(np.full(17, -1), sequence(truth))
    assert (silent["delay_s"], silent["missed"], silent["uncertain"]) == (None, 1.0, 1.0)


def test_sequences_repeat_hold_and_switch_at_the_same_times():
    made = {
        hold: smoothing.make_sequence(LABELS, minutes=20, fps=15, hold_s=hold, seed=3) for hold in smoothing.HOLDS_S
    }
    again = smoothing.make_sequence(LABELS, minutes=20, fps=15, hold_s=0.2, seed=3)
    assert np.array_equal(made[0.2].pictures, again.pictures)
    other = smoothing.make_sequence(LABELS, minutes=20, fps=15, hold_s=0.2, seed=4)
    assert not np.array_equal(made[0.2].truth, other.truth)
    for hold, one in made.items():
        assert np.array_equal(one.truth, made[0.0].truth)
        assert np.array_equal(LABELS[one.pictures], one.truth), "a picture of another class was drawn"
        assert (np.diff(one.truth)[one.starts[1:] - 1] != 0).all(), "a switch goes to another label"
        lengths = np.diff(one.starts) / one.fps
        assert lengths.min() >= smoothing.SEGMENT_S[0] - 0.04 and lengths.max() <= smoothing.SEGMENT_S[1] + 0.04
        # Segments end a hold early, and a picture may be drawn twice in a row.
        changed = np.count_nonzero(np.diff(one.pictures)) / (20 * 60)
        assert changed == pytest.approx(15 if hold == 0 else 1 / (hold + 1 / 30) + 0.25 * (hold > 0), rel=0.15)
    shares = np.bincount(made[0.0].truth, minlength=7)
    assert shares.argmax() == 3 and shares.argmin() == 1, "classes occur as often as in the data"


def test_without_smoothing_each_frame_speaks_for_itself():
    frames = np.eye(7, dtype=np.float32)[[3, 1, 3]]
    assert smoothing.play(frames, FER2013_LABELS, 10, None).tolist() == [3, 1, 3]


def test_smoothing_is_the_loops_own():
    noisy = np.full((40, 7), 0.05, np.float32)
    noisy[:, 3] = 0.7
    noisy[20] = np.eye(7)[1]
    shown = smoothing.play(noisy, FER2013_LABELS, 10, smoothing.in_force(SETTINGS))
    assert shown[0] == -1, "nothing is sure at the first frame"
    assert set(shown[10:]) == {3}, "one odd frame changes nothing"
    eager = {**smoothing.in_force(SETTINGS), "time_constant_s": 0.0, "dwell_s": 0.0}
    assert smoothing.play(noisy, FER2013_LABELS, 10, eager)[20] == 1


def test_settings_in_force_are_among_those_tried_once():
    settings = config.load(environment={}, flags={"time_constant_s": 0.7, "dwell_s": 0.2})
    tried = [json.dumps(variant) for variant in smoothing.variants(settings)]
    assert len(set(tried)) == len(tried) == 6 * 4
    assert json.dumps(smoothing.in_force(settings)) in tried


def test_measured_by_the_command(data, model, tmp_path):
    output, drawing = tmp_path / "smoothing.json", tmp_path / "smoothing.png"
    done = CliRunner().invoke(
        cli.main,
        ["smoothing", "--data", str(data), "--model", str(model), "--minutes", "1", "--json", str(output),
         "--plot", str(drawing)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    content = results.read(output)
    validate(content)
    assert done.stdout.count("<- in force") == len(smoothing.HOLDS_S)
    for _, raw, smoothed in smoothing.raw_and_in_force(content):
        assert raw["smoothing"] is None and smoothed["smoothing"] == content["in_force"]
        assert smoothed["false_switches_per_min"] <= raw["false_switches_per_min"]
        assert raw["uncertain"] == 0
    assert drawing.read_bytes().startswith(b"\x89PNG")


def test_the_stored_result_says_that_smoothing_pays_and_what_it_costs():
    from pathlib import Path

    content = results.read(Path(__file__).parents[2] / "benchmarks" / "results" / "smoothing.json")
    for _, raw, smoothed in smoothing.raw_and_in_force(content):
        assert smoothed["false_switches_per_min"] < raw["false_switches_per_min"] / 2
        assert smoothed["delay_s"]["p50"] > raw["delay_s"]["p50"]
