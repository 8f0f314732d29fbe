import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from result_schema import validate

from fer_bench import cli, recall
from fer_edge.faces.tracking import overlap

A, B, C = (0.0, 0.0, 100.0, 100.0), (200.0, 0.0, 100.0, 100.0), (0.0, 200.0, 50.0, 50.0)
NEAR_A = (20.0, 0.0, 100.0, 100.0)
_BOX = st.tuples(st.floats(0, 50), st.floats(0, 50), st.floats(10, 60), st.floats(10, 60))


def test_counts_worked_out_by_hand():
    looped = [[], [NEAR_A], [A, B], [A, C]]
    truth = [[A], [A, B], [B, A], [A]]
    assert recall.compare(looped, truth) == {"frames": 4, "right_count": 1, "faces": 6, "found": 4, "extra": 1}


def test_a_box_is_used_once_and_the_nearest_first():
    assert recall.matches([A, NEAR_A], [A]) == 1
    assert recall.matches([A], [(60.0, 0.0, 100.0, 100.0)]) == 0
    assert recall.matches([], [A]) == recall.matches([A], []) == 0


@given(st.lists(_BOX, max_size=4), st.lists(_BOX, max_size=4))
def test_matching_is_symmetric_and_never_over_the_possible(ours, theirs):
    found = recall.matches(ours, theirs)
    assert found == recall.matches(theirs, ours)
    assert found <= min(len(ours), len(theirs))
    assert (found > 0) == any(overlap(a, b) > recall.SAME_FACE for a in ours for b in theirs)
    assert recall.matches(ours, ours) == len(ours)


def test_command_on_a_real_clip(yunet, fer_data, tmp_path):
    clip = fer_data / "faces" / "head-pose-face-detection-female.gif"
    output = tmp_path / "recall.json"
    done = CliRunner().invoke(
        cli.main, ["recall", str(clip), "--detector", "yunet", "--max-frames", "8", "--json", str(output)]
    )
    assert done.exit_code == 0, done.output
    content = json.loads(output.read_text())
    validate(content)
    together = content["together"]
    assert {key: together[key] for key in ("frames", "found", "faces")} == {
        key: content["comparisons"][0][key] for key in ("frames", "found", "faces")
    }
    assert together["frames"] == 8
    assert 4 <= together["found"] <= together["faces"]


def test_a_missing_clip_or_detector_is_one_sentence(tmp_path, clip, monkeypatch):
    done = CliRunner().invoke(cli.main, ["recall", str(tmp_path / "absent.mkv")])
    assert done.exit_code == 2
    assert "absent.mkv" in done.output
    monkeypatch.setattr(recall, "find_yunet", lambda: None)
    done = CliRunner().invoke(cli.main, ["recall", str(clip), "--detector", "haar"])
    assert done.exit_code == 1
    assert "model pull yunet" in done.output


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_a_file_that_cannot_be_written_is_refused_beforehand(tmp_path, option):
    done = CliRunner().invoke(cli.main, ["scaling", option, str(tmp_path / "no" / "x")])
    assert done.exit_code == 2
    assert f"{option} " in done.output
