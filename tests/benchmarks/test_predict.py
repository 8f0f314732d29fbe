import numpy as np
import pytest
from result_schema import validate

from fer_bench import predict, results
from fer_bench.environment import environment
from fer_edge.contract.errors import DetectorError
from fer_edge.service import config

PARTS = ["detect", "classify", "other", "publish", "total"]


def test_a_prediction_worked_out_by_hand():
    board = predict.Board(
        name="b", core="c", clock_ghz=2.0, measured_on="m", measured_ghz=1.5, measured_ms=8.0
    )  # fmt: skip
    assert board.yunet_ms == (6.0, 8.0)
    found = predict._prediction(board, PARTS, np.array([2.0, 0.1, 0.1, 0.1, 2.5]))
    assert found["stages_ms"]["total"] == {"low": 15.0, "high": round(2.5 * 8 * 4 * predict.OTHER_WORK, 2)}
    assert found["frames_per_s"]["high"] == pytest.approx(1000 / 15, abs=0.05)
    assert found["frames_per_s"]["low"] == pytest.approx(1000 / found["stages_ms"]["total"]["high"], abs=0.05)


def test_a_slower_clock_than_the_published_one_makes_it_no_faster():
    board = predict.Board(name="b", core="c", clock_ghz=1.0, measured_on="m", measured_ghz=1.2, measured_ms=10.0)
    assert board.yunet_ms == pytest.approx((10.0, 12.0))


def test_the_boards_keep_their_order():
    slowest = [board.yunet_ms for board in predict.BOARDS]
    assert slowest == sorted(slowest)


def test_measured_on_the_demo(yunet, demo_picture):
    settings = config.load(environment={}, flags={"detector": "yunet"})
    rounds = []
    content = predict.measure(None, settings, max_frames=6, rounds=2, on_round=rounds.append)
    assert rounds == [1, 1]
    result = results.result("predict", environment(["predict"]), **content)
    validate(result)
    here = content["here"]
    for stage, multiple in here["multiples_of_yunet"].items():
        for board, known in zip(content["boards"], predict.BOARDS, strict=True):
            assert board["stages_ms"][stage]["low"] == pytest.approx(multiple * known.yunet_ms[0], abs=0.02)
            assert board["stages_ms"][stage]["low"] <= board["stages_ms"][stage]["high"]
    text = predict.table(result)
    assert "PREDICTED, not measured" in text
    assert "Raspberry Pi Zero 2 W" in text
    assert all(source in text for source in predict.SOURCES)


def test_without_yunet_there_is_nothing_to_predict_with(monkeypatch):
    monkeypatch.setattr(predict, "find_yunet", lambda: None)
    with pytest.raises(DetectorError, match="fer-edge model pull yunet"):
        predict.measure(None, config.load(environment={}), max_frames=2, rounds=1)
