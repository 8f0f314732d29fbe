import numpy as np
import pytest
from result_schema import validate

from fer_bench import growth, results
from fer_bench.environment import environment
from fer_edge.service import config


def test_growth_is_after_the_warm_up():
    filling = np.concatenate([np.linspace(50, 80, 10), np.full(90, 80.0)])
    assert growth.growth(filling) == 0.0
    leaking = 80 + 0.01 * np.arange(100)
    assert growth.growth(leaking) == pytest.approx(0.8)
    # One disturbed sample is no growth.
    filling[-1] = 500
    assert growth.growth(filling) == 0.0


def test_memory_is_seen_to_grow():
    before = growth.memory_mb()
    # Larger than what an allocator keeps for itself.
    kept = np.ones(50_000_000, np.uint8)
    after = growth.memory_mb()
    assert after[0] - before[0] == pytest.approx(50, abs=3)
    assert after[1] - before[1] == pytest.approx(50, abs=3)
    assert kept.all()


def test_frames_cycle_by_a_clock_of_their_own():
    pictures = [np.full((2, 2), level, np.uint8) for level in range(3)]
    source = growth.Cycle(pictures, 5)
    read = [source.read() for _ in range(5)]
    assert [int(frame.image[0, 0]) for frame in read] == [0, 1, 2, 0, 1]
    assert np.allclose(np.diff([frame.captured for frame in read]), 1 / 30)
    assert source.read() is None


def test_a_face_comes_and_goes(yunet, demo_picture, monkeypatch, tmp_path):
    monkeypatch.setattr(growth, "SHOWN", 4)
    settings = config.load(flags={"detector": "yunet", "misses": 5}, environment={})
    content = growth.measure(settings, frames=100)
    result = results.result("growth", environment(["growth"]), **content)
    validate(result)
    # 4 frames with a face and 20 without, in turn: from the second sighting on, four tracks and a bit.
    assert content["tracks"] == 5
    assert 8 <= content["frames_with_face"] <= 20
    assert [sample["frames"] for sample in content["samples"]] == list(range(1, 101))
    assert "growth after the warm-up" in growth.table(result)
    growth.plot(tmp_path / "growth.png", result)
    assert (tmp_path / "growth.png").stat().st_size > 1000
