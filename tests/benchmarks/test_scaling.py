import numpy as np
import pytest
from result_schema import validate

from fer_bench import results, scaling, scenes
from fer_bench.environment import environment
from fer_edge.service import config


def test_crowds_grow_by_faces_in_cells_of_their_own(faces):
    pictures = list(faces.split("Training").images[:16])
    one, two = scaling.crowd(pictures[:1]), scaling.crowd(pictures[:2])
    assert len(one) == scaling.FRAMES
    assert one[0].image.shape == (480, 640)
    changed = np.argwhere(np.abs(one[0].image.astype(int) - two[0].image) > 2)
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    assert max(bottom - top, right - left) <= 1.2 * scaling.SIDE
    assert (top // 120, left // 160) == (bottom // 120, right // 160)
    assert one[1].captured - one[0].captured == pytest.approx(1 / scenes.FPS)


def test_faces_sway_to_and_fro(faces):
    frames = scaling.crowd([faces.split("Training").images[0]])
    still = np.abs(frames[0].image.astype(int) - frames[25].image).mean()
    moved = np.abs(frames[0].image.astype(int) - frames[12].image).mean()
    assert moved > still


def test_a_line_through_points_on_it_is_that_line():
    found = scaling.line(np.array([1.0, 2.0, 4.0]), np.array([2.3, 2.6, 3.2]))
    assert found == pytest.approx({"ms_per_face": 0.3, "ms_at_none": 2.0, "r2": 1.0})
    flat = scaling.line(np.array([1.0, 2.0]), np.array([5.0, 5.0]))
    assert flat == pytest.approx({"ms_per_face": 0.0, "ms_at_none": 5.0, "r2": 1.0}, abs=1e-9)
    noisy = scaling.line(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 4.0, 2.0, 5.0]))
    assert 0 < noisy["r2"] < 1


def test_measured_on_real_faces(yunet, faces, monkeypatch, tmp_path):
    monkeypatch.setattr(scaling, "FRAMES", 4)
    settings = config.load(flags={"detector": "yunet"}, environment={})
    content = scaling.measure(settings, faces.split("Training"), rounds=1)
    result = results.result("scaling", environment(["scaling"]), **content)
    validate(result)
    points = content["points"]
    assert [point["faces"] for point in points] == list(scaling.COUNTS)
    assert all(point["found"] <= point["faces"] for point in points)
    assert points[-1]["found"] > points[0]["found"]
    for point in points:
        assert point["total_ms"] == pytest.approx(sum(point[f"{stage}_ms"] for stage in scaling.STAGES[:-1]), abs=1e-3)
    assert "a scan" in scaling.table(result)
    scaling.plot(tmp_path / "scaling.png", result)
    assert (tmp_path / "scaling.png").stat().st_size > 1000
