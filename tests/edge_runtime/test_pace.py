"""Pace and health: no faster than asked, slower when idle or hot; the board is a folder of fake files."""

from __future__ import annotations

from pathlib import Path

import pytest

from fer_edge.health import THROTTLED, Health, read_health
from fer_edge.pace import Pace

COOL = Health(50.0, 0)
HOT = Health(84.0, 0b0100)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def board(root: Path, temperature: str | None, throttled: str | None) -> Path:
    for name, content in (("sys/class/thermal/thermal_zone0/temp", temperature), (str(THROTTLED), throttled)):
        if content is not None:
            path = root / name
            path.parent.mkdir(parents=True)
            path.write_text(content)
    return root


def test_a_board_is_read(tmp_path: Path) -> None:
    health = read_health(board(tmp_path, "62312\n", "50005\n"))
    assert health.temperature_c == pytest.approx(62.312)
    assert health.throttled == 0x50005
    assert health.slowed
    assert health.under_voltage


@pytest.mark.parametrize(
    ("mask", "slowed", "under_voltage"),
    [(0, False, False), (0x1, False, True), (0x2, True, False), (0x8, True, False), (0x10000, False, True),
     (0x60000, False, False)],
)  # fmt: skip
def test_the_mask_tells_now_from_since_boot(mask: int, slowed: bool, under_voltage: bool) -> None:
    health = Health(None, mask)
    assert (health.slowed, health.under_voltage) == (slowed, under_voltage)


@pytest.mark.parametrize(("temperature", "throttled"), [(None, None), ("", ""), ("warm", "0xzz")])
def test_a_board_that_says_nothing_is_not_hot(tmp_path: Path, temperature: str | None, throttled: str | None) -> None:
    assert read_health(board(tmp_path, temperature, throttled)) == Health(None, None)


def paced(clock: Clock, worked_s: float, *, faces: bool, pace: Pace) -> float:
    pace.start()
    clock.now += worked_s
    return pace.pause_s(faces=faces)


def test_without_limits_there_is_no_pause() -> None:
    clock = Clock()
    assert paced(clock, 0.01, faces=False, pace=Pace(health=lambda: COOL, clock=clock)) == 0


def test_the_pause_fills_up_to_the_rate() -> None:
    clock = Clock()
    pace = Pace(max_fps=10, health=lambda: COOL, clock=clock)
    assert paced(clock, 0.03, faces=True, pace=pace) == pytest.approx(0.07)
    assert paced(clock, 0.5, faces=True, pace=pace) == 0, "late is late"


def test_nobody_there_slows_it_down_and_a_face_wakes_it() -> None:
    clock = Clock()
    pace = Pace(max_fps=20, idle_fps=2, idle_after_s=30, health=lambda: COOL, clock=clock)
    assert paced(clock, 0.0, faces=False, pace=pace) == pytest.approx(0.05)
    clock.now += 31
    assert paced(clock, 0.0, faces=False, pace=pace) == pytest.approx(0.5)
    assert paced(clock, 0.0, faces=True, pace=pace) == pytest.approx(0.05)


def test_a_throttled_board_rests_as_long_as_it_works(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    states = [HOT, HOT, COOL]
    pace = Pace(health=lambda: states.pop(0), clock=clock)
    assert paced(clock, 0.04, faces=True, pace=pace) == pytest.approx(0.04)
    assert paced(clock, 0.02, faces=True, pace=pace) == pytest.approx(0.02), "the board is not read every frame"
    assert len(states) == 2
    clock.now += 6
    paced(clock, 0.02, faces=True, pace=pace)
    clock.now += 6
    assert paced(clock, 0.02, faces=True, pace=pace) == 0
    assert [record.levelname for record in caplog.records] == ["WARNING"], "said once, not every five seconds"
    assert "84 C" in caplog.text


def test_a_clock_that_jumps_back_is_survived() -> None:
    clock = Clock()
    pace = Pace(max_fps=10, idle_fps=1, idle_after_s=5, health=lambda: COOL, clock=clock)
    pace.start()
    clock.now -= 1_000
    assert pace.pause_s(faces=False) == pytest.approx(0.1)
