"""Settings that name what does not exist are refused before anything is opened, with the exit code of their origin."""

from __future__ import annotations

from pathlib import Path

import pytest

from fer_edge.contract.errors import ConfigError, UsageError
from fer_edge.contract.shipped import shipped_model
from fer_edge.service.check import check
from fer_edge.service.config import Settings

BAD = [
    ("source", "/nowhere/clip.mkv"), ("source", "gopher://x/y"), ("model", "/nowhere/model.tflite"),
    ("publish", ["pigeon:home"]), ("publish", ["file:/nowhere/out.jsonl"]), ("publish", ["file:/"]),
    ("publish", ["-", "-"]), ("publish", ["mqtt://broker"]), ("publish", ["https://"]), ("publish", ["exec:"]),
    ("publish", ["exec:/nowhere/command"]), ("publish", ["https://host/x#expression=hapy"]),
    ("publish", ["file:x?max_mb=abc"]), ("publish", ["gpio:17"]), ("publish", ["gpio:17=hapy"]),
    ("publish", ["gpio:17=happy#dwel=2"]), ("record", "/nowhere/clip.mkv"), ("record", "/tmp/clip.mp4"),
    ("preview", ":99999"), ("metrics", ":9808"), ("metrics", "9808"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_setting_is_refused_by_its_origin(name: str, value: object) -> None:
    settings = Settings(**{"source": "demo", name: value})  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as of_file:
        check(settings)
    assert of_file.value.exit_code == 78
    with pytest.raises(UsageError) as of_flag:
        check(settings, flags={name})
    assert of_flag.value.exit_code == 2
    assert str(of_flag.value) == str(of_file.value)


def test_a_services_tokens_are_not_looked_for_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FER_EDGE_METRICS_TOKEN_FILE", raising=False)
    check(Settings(source="demo", preview=":8808", metrics=":9808"), tokens=False)
    with pytest.raises(ConfigError, match="FER_EDGE_METRICS_TOKEN_FILE"):
        check(Settings(source="demo", metrics=":9808"))


def test_a_folder_that_shows_nothing_to_this_user_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", locked)
    with pytest.raises(ConfigError, match=r"may not be written by this user; .* as root"):
        check(Settings(source="demo", publish=[f"file:{tmp_path}/events.jsonl"]))


def test_settings_are_examined_to_the_end() -> None:
    with pytest.raises(ConfigError) as refused:
        check(Settings(source="gopher://x/y", model="/nowhere/model.tflite", record="/tmp/clip.mp4"))
    assert [line.split()[0] for line in str(refused.value).splitlines()] == ["source", "model", "recording"]


def test_good_settings_pass_and_open_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    settings = Settings(
        source="/dev/video99",
        model=str(shipped_model()),
        publish=[
            "-", f"file:{tmp_path}/out.jsonl?keep=2", "mqtt://127.0.0.1:9/topic", "https://127.0.0.1:9/x#dwell=1",
            f"exec:/usr/bin/touch {marker}", "gpio:17=happy#every=10",
        ],
    )  # fmt: skip
    check(settings)
    assert list(tmp_path.iterdir()) == []


def test_a_password_in_an_output_is_refused_without_being_shown() -> None:
    for spec in ("mqtt://me:geheim@host/topic", "https://me:geheim@host/hook"):
        with pytest.raises(ConfigError) as refused:
            check(Settings(publish=[spec]))
        assert "geheim" not in str(refused.value)
