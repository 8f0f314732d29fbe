"""What the soak breaks is really broken, what it promises can be missed, and each scenario runs at a twentieth."""

from __future__ import annotations

import random

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from result_schema import validate

from fer_bench import results
from fer_bench.environment import environment
from fer_bench.soak import PROMISES, SCENARIOS, attempts, mutations, report, row, simulated
from fer_bench.soak.cli import soak
from fer_edge.contract.errors import FerError, PublishError, UsageError

TWENTIETH = 0.05


def test_every_scenario_has_its_promise():
    assert SCENARIOS.keys() == PROMISES.keys()


def test_a_twentieth_is_at_least_one():
    assert [attempts(full, TWENTIETH) for full in (1, 20, 500, 2000)] == [1, 1, 25, 100]


KEPT = {
    "broker-stops": {"stops": 20, "lost": 0, "out_of_order": 0},
    "kills": {"kills": 50, "lost": 0, "out_of_order": 0},
    "camera-faults": {"faults_made": 5, "recovered": 5, "slowest_noticed_s": 4.9, "dark_room_alarms": 0},
    "model-swaps": {"kills": 500, "unusable": 0},
    "model-mutations": {"files": 9, "refused": 9},
    "config-mutations": {"files": 9, "crashed": 0, "accepted_against_schema": 0, "passwords_shown": 0},
    "payload-mutations": {"payloads": 9, "crashed": 0, "accepted_wrongly": 0},
    "live-hour": {"captured": 9, "anonymous_growth_mb": 1.9, "thread_growth": 0, "handle_growth": 0},
    "arm": {"frames": 9, "faces": 9, "labels_different": 0},
}
BROKEN = [
    ("broker-stops", {"lost": 1}), ("broker-stops", {"out_of_order": 1}), ("kills", {"lost": 1}),
    ("kills", {"out_of_order": 1}), ("camera-faults", {"slowest_noticed_s": 5.1}),
    ("camera-faults", {"recovered": 4}), ("camera-faults", {"dark_room_alarms": 1}), ("model-swaps", {"unusable": 1}),
    ("model-mutations", {"refused": 8}), ("config-mutations", {"crashed": 1}),
    ("config-mutations", {"accepted_against_schema": 1}), ("config-mutations", {"passwords_shown": 1}),
    ("payload-mutations", {"crashed": 1}), ("payload-mutations", {"accepted_wrongly": 1}),
    ("live-hour", {"anonymous_growth_mb": 2.1}), ("live-hour", {"thread_growth": 1}),
    ("live-hour", {"handle_growth": 1}), ("arm", {"labels_different": 1}),
    ("arm", {"faces": 0}), ("model-swaps", {"kills": 0}),
]  # fmt: skip


@pytest.mark.parametrize("name", PROMISES)
def test_a_promise_can_be_kept(name):
    assert PROMISES[name].kept(KEPT[name])
    assert PROMISES[name].attempts in KEPT[name]


@pytest.mark.parametrize(("name", "change"), BROKEN)
def test_a_promise_can_be_broken(name, change):
    assert not PROMISES[name].kept({**KEPT[name], **change})


@pytest.mark.parametrize(
    "seen",
    [
        {"files": 3, "refused": 3},
        {"files": 3, "refused": 2},
        UsageError("there is no such machine here"),
        PublishError("the broker did not get everything within 120 s"),
    ],
)
def test_the_command_writes_a_result_and_fails_where_a_promise_is_broken(monkeypatch, tmp_path, seen):
    def scenario(scale):
        assert scale == 0.5
        if isinstance(seen, FerError):
            raise seen
        return seen

    monkeypatch.setitem(SCENARIOS, "model-mutations", scenario)
    path = tmp_path / "reliability.json"
    arguments = ["--only", "model-mutations", "--scale", "0.5", "--json", str(path)]
    done = CliRunner().invoke(soak, arguments, obj=("soak",))
    result = results.read(path)
    validate(result)
    (only,) = result["scenarios"]
    if isinstance(seen, UsageError):
        assert done.exit_code == 0
        assert only["skipped"] == "there is no such machine here"
        assert "no such machine" in done.output
    elif isinstance(seen, FerError):
        assert done.exit_code == 1
        assert only["kept"] is False and "BROKEN" in done.output
        assert "did not get everything" in only["figures"]["broke_off"]
    else:
        assert done.exit_code == (0 if seen["refused"] == 3 else 1)
        assert only["kept"] == (seen["refused"] == 3)
        assert ("BROKEN" in done.output) != only["kept"]


def test_the_plot_shows_the_camera_faults(tmp_path):
    faults = {fault: {"noticed_s": [1.0, 1.2], "recovered_s": [0.5, None]} for fault in simulated.FAULTS}
    rows = [{"name": "camera-faults", "target": "t", "seconds": 1.0, "attempts": 10, "kept": False,
             "figures": {"faults": faults}}]  # fmt: skip
    result = results.result("reliability", environment(["soak"]), **report.content(rows, scale=1.0))
    validate(result)
    report.plot(tmp_path / "reliability.png", result)
    assert (tmp_path / "reliability.png").stat().st_size > 1000


class TestSimulatedCamera:
    def camera(self, fault):
        pictures = simulated.noise()
        return simulated.SimulatedCapture(pictures, lambda: fault[0], fps=1000), pictures

    def test_it_delivers_its_pictures_with_stamps_that_move(self):
        camera, pictures = self.camera([""])
        stamps = []
        for number in range(1, 6):
            assert camera.grab()
            stamps.append(camera.get(cv2.CAP_PROP_POS_MSEC))
            assert np.array_equal(camera.retrieve()[1], pictures[number % 4])
        assert len(set(stamps)) == 5

    def test_frozen_repeats_picture_and_stamp_and_dark_does_not(self):
        fault = [""]
        camera, _ = self.camera(fault)
        camera.grab()
        stamp, picture = camera.get(cv2.CAP_PROP_POS_MSEC), camera.retrieve()[1].copy()
        fault[0] = "frozen"
        assert camera.grab()
        assert camera.get(cv2.CAP_PROP_POS_MSEC) == stamp
        assert np.array_equal(camera.retrieve()[1], picture)
        fault[0] = "dark"
        assert camera.grab()
        assert camera.get(cv2.CAP_PROP_POS_MSEC) != stamp
        assert not camera.retrieve()[1].any()

    def test_gone_garbage_and_resized(self):
        fault = ["garbage"]
        camera, _ = self.camera(fault)
        odd = []
        for _ in range(4):
            camera.grab()
            try:
                odd.append(camera.retrieve()[1].dtype.name + str(camera.retrieve()[1].ndim))
            except cv2.error:
                odd.append("damaged")
        assert sorted(odd) == ["damaged", "float322", "uint83", "uint83"]
        fault[0] = "resized"
        camera.grab()
        assert camera.retrieve()[1].shape == (60, 80, 3)
        fault[0] = "gone"
        assert not camera.grab()
        fault[0] = ""
        assert not camera.grab(), "what was unplugged is opened again, not read on"


def test_mutations_are_many_and_change_something():
    rng = random.Random(1)
    data = bytes(range(256)) * 20
    mutated = {mutations._mutated_bytes(data, rng) for _ in range(200)}
    assert len(mutated - {data}) > 150
    settings = {mutations._mutated_settings(rng) for _ in range(200)}
    assert len(settings) > 190


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model-swaps", "model-mutations", "config-mutations", "camera-faults"])
def test_a_twentieth_of(name):
    found = row(name, TWENTIETH)
    assert found["kept"], found
    if name == "model-swaps":
        # Kills came before and after a model was installed, and while files were written.
        assert found["figures"]["installed_model_served"] > 0
        assert found["figures"]["killed_while_writing"] > 0
    if name == "config-mutations":
        assert found["figures"]["accepted_by_schema"] > 0


@pytest.mark.slow
def test_a_twentieth_of_the_live_hour(demo_picture):
    found = row("live-hour", TWENTIETH)
    assert found["figures"]["unplugged"] >= 3
    assert found["figures"]["thread_growth"] == found["figures"]["handle_growth"] == 0
    # So short a run is not past the warm-up: what is promised of the hour is twice as strict.
    assert found["figures"]["anonymous_growth_mb"] < 4
