import json

import numpy as np
import pytest
from click.testing import CliRunner
from result_schema import validate

from fer_bench import cli, plots, recall, results, scene, scenes, statistics
from fer_bench.environment import environment
from fer_edge.contract.errors import DetectorError
from fer_edge.service import config
from fer_train import datasets


def test_pairs_worked_out_by_hand():
    before = np.array([1, 1, 1, 0, 0, 0, 0, 0], bool)
    after = np.array([0, 1, 1, 1, 1, 0, 0, 0], bool)
    found = scene.paired(before, after)
    assert (found["before"], found["after"]) == (0.375, 0.5)
    assert (found["gained"], found["lost"], found["change_points"]) == (2, 1, 12.5)
    low, high = found["change_points_95"]
    assert low < 12.5 < high


@pytest.mark.parametrize(("gained", "lost", "pairs"), [(0, 0, 1), (5, 5, 10), (30, 10, 1000), (7, 0, 7)])
def test_a_paired_interval_turns_with_its_pairs_and_narrows_with_their_number(gained, lost, pairs):
    low, high = statistics.paired_interval(gained, lost, pairs)
    assert -1 <= low < (gained - lost) / (pairs + 2) < high <= 1
    mirrored = statistics.paired_interval(lost, gained, pairs)
    assert mirrored == pytest.approx((-high, -low))
    more = statistics.paired_interval(100 * gained, 100 * lost, 100 * pairs)
    assert more[1] - more[0] < high - low


def test_an_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    shares = np.array([0.08, 0.05, 0.87])
    drawn = rng.multinomial(400, shares, 2000)
    intervals = [statistics.paired_interval(gained, lost, 400) for gained, lost, _ in drawn]
    covered = [low <= 0.03 <= high for low, high in intervals]
    assert 0.93 < np.mean(covered) < 0.97


@pytest.mark.slow
def test_the_loop_finds_and_reads_faces_in_a_scene(yunet, faces, tmp_path):
    runs = [config.load(flags={"detector": name}, environment={}) for name in ("yunet", "haar")]
    content = scene.measure(faces, "Training", runs, limit=14, seed=0)
    result = results.result("scene", environment(["scene"]), **content)
    validate(result)
    aligned = content["detectors"][0]["all"]["before"]
    for entry in content["detectors"]:
        assert entry["all"]["pictures"] == 14
        assert entry["all"]["before"] == aligned
        assert entry["where_found"]["pictures"] == round(14 * entry["found"])
        assert entry["where_full_scan_finds"]["pictures"] == round(14 * content["full_scan"]["found"])
        # A missed face is wrong, so what is right was found.
        assert entry["all"]["after"] <= entry["found"]
        assert sum(bin_["pictures"] for bin_ in entry["sides"]) == 14
    # Scenes hold whole faces of at least 120 pixels: a loop that misses half of them is broken.
    assert content["detectors"][0]["found"] > 0.5
    assert "all faces" in scene.table(result)
    drawing = tmp_path / "scene.png"
    scene.plot(drawing, result)
    assert drawing.read_bytes()[:4] == b"\x89PNG"


def test_the_newest_frame_counts_and_a_miss_is_none(yunet, faces):
    settings = config.load(flags={"detector": "yunet"}, environment={})
    split = scenes.sample(faces.split("Training"), 4, 1)
    classifier, _ = scenes.open_classifier(settings, faces)
    placements = scenes.placements(4, 1)
    blank = datasets.Split(np.full_like(split.images, 128), split.labels, split.names)
    detector = scene.make_detector(settings)
    said, false = scene.watched(settings, detector, classifier, blank, faces.labels, placements, lambda _: None)
    assert said.tolist() == [scene.MISSED] * 4
    assert false == 0


def test_without_yunet_there_is_no_reference(data, model, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(recall, "find_yunet", lambda: None)
    settings = config.load(flags={"detector": "haar", "model": str(model)}, environment={})
    with pytest.raises(DetectorError, match="model pull yunet"):
        scene.measure(datasets.load(data), "PublicTest", [settings], limit=2, seed=0)


def test_command_writes_result_and_plot(yunet, faces, tmp_path):
    output, drawing = tmp_path / "scene.json", tmp_path / "scene.png"
    arguments = ["--data", faces.source, "--split", "Training", "--limit", "3", "--detector", "haar"]
    done = CliRunner().invoke(cli.main, ["scene", *arguments, "--json", str(output), "--plot", str(drawing)])
    assert done.exit_code == 0, done.output
    content = json.loads(output.read_text())
    validate(content)
    assert [entry["name"] for entry in content["detectors"]] == ["haar"]
    assert str(tmp_path) not in output.read_text()
    assert drawing.stat().st_size > 1000


def test_there_are_colours_for_all_that_is_drawn():
    assert len(set(plots.COLORS)) == len(set(plots.MARKERS)) == 5
