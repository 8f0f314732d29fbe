"""Settings: where they come from, and what is refused with which words."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.cli import main
from fer_edge.contract.errors import ConfigError, UsageError
from fer_edge.service import config
from fer_edge.service.config import Settings, load


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def test_flags_win_over_variables_over_the_file_over_defaults(tmp_path: Path) -> None:
    path = written(tmp_path, 'source = "file"\ndetector = "haar"\nrotate = 90\n')
    settings = load(
        path,
        environment={"FER_EDGE_SOURCE": "environment", "FER_EDGE_DETECTOR": "yunet", "HOME": "x"},
        flags={"source": "flag", "fps": None},
    )
    assert (settings.source, settings.detector, settings.rotate, settings.flip) == ("flag", "yunet", 90, "")


def test_variables_become_values_of_the_right_type() -> None:
    settings = load(
        environment={
            "FER_EDGE_ROTATE": "180", "FER_EDGE_EVERY_FRAME": "true", "FER_EDGE_LEAD": "0.25",
            "FER_EDGE_PUBLISH": "- file:x.jsonl", "FER_EDGE_MQTT_PASSWORD": "secret",
        }
    )  # fmt: skip
    assert settings.rotate == 180
    assert settings.every_frame is True
    assert settings.lead == 0.25
    assert settings.publish == ["-", "file:x.jsonl"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('sorce = "0"', ["sorce", "did you mean source"]),
        ("zzz = 1", ["zzz", "fer-edge config schema"]),
        ("rotate = 45", ["rotate", "45", "90"]),
        ("rotate = true", ["rotate", "whole number"]),
        ('detector = "mtcnn"', ["detector", "mtcnn", "yunet"]),
        ("fps = 0", ["fps", "0"]),
        ("fps = nan", ["fps", "number"]),
        ('size = "640"', ["size", "640"]),
        ('roi = "1,2,3"', ["roi"]),
        ("publish = []", ["publish"]),
        ('publish = "-"', ["publish", "list"]),
        ("max_frames = 0", ["max_frames", "0"]),
        (f"rotate = {10**400}", ["rotate"]),
        ("max_frames = 1.5", ["max_frames", "1.5"]),
        ("source =", ["not valid TOML"]),
        ("[source]", ["source", "string"]),
    ],
)
def test_a_bad_file_is_refused_naming_file_key_and_value(tmp_path: Path, text: str, words: list[str]) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        load(path, environment={})
    assert refused.value.exit_code == 78
    for word in [str(path), *words]:
        assert word in str(refused.value)


def test_a_missing_file_is_bad_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        load(tmp_path / "absent.toml")


def test_a_bad_variable_is_named() -> None:
    with pytest.raises(ConfigError, match=r"FER_EDGE_ROTATE.*45"):
        load(environment={"FER_EDGE_ROTATE": "45"})
    with pytest.raises(ConfigError, match=r"FER_EDGE_SORCE.*did you mean source"):
        load(environment={"FER_EDGE_SORCE": "0"})


def test_every_mistake_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text('sorce = "demo"\nfps = -1\ndetector = "yunet"\n')
    with pytest.raises(ConfigError) as refused:
        load(path, environment={"FER_EDGE_THREADS": "many"})
    first, second, third = str(refused.value).splitlines()
    assert "sorce" in first and "source" in first and "fps is -1" in second and "FER_EDGE_THREADS" in third
    path.write_text("\n".join(f"key{number} = 1" for number in range(500)))
    with pytest.raises(ConfigError) as refused:
        load(path, environment={})
    assert len(str(refused.value).splitlines()) == 11 and str(refused.value).endswith("and 490 more")


def test_a_bad_flag_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"--rotate.*45") as refused:
        load(environment={}, flags={"rotate": 45})
    assert refused.value.exit_code == 2


def test_the_schema_is_valid_and_accepts_the_defaults() -> None:
    jsonschema.Draft202012Validator.check_schema(config.schema())
    defaults = {key: value for key, value in dataclasses.asdict(Settings()).items() if value is not None}
    jsonschema.validate(json.loads(json.dumps(defaults)), config.schema())


_values = st.one_of(
    st.booleans(), st.integers(-5, 3000) | st.just(10**400), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(["640x480", "haar", "h", "1,2,3,4"]), st.lists(st.text(max_size=5), max_size=2),
)  # fmt: skip


@given(st.dictionaries(st.sampled_from([*config.FIELDS, "sorce"]), _values, max_size=6))
def test_what_the_schema_accepts_is_what_is_accepted(values: dict[str, object]) -> None:
    valid = jsonschema.Draft202012Validator(config.schema()).is_valid(values)
    try:
        for key, value in values.items():
            config._checked(key, value, "test")
        accepted = True
    except ConfigError:
        accepted = False
    assert accepted == valid


def test_derived_values() -> None:
    settings = Settings(size="800x600", roi="1,2,30,40", device="pi")
    assert settings.size_pixels == (800, 600)
    assert settings.roi_pixels == (1, 2, 30, 40)
    assert settings.device_name == "pi"
    assert Settings().roi_pixels is None
    assert Settings().device_name


def test_the_published_schema_is_this_one() -> None:
    published = Path(config.__file__).with_name("config.schema.json")
    assert json.loads(published.read_text()) == config.schema(), (
        f"write it anew: fer-edge config schema > {published.name}"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"threads = {'9' * 5000}", "not valid TOML"),
        (f"publish = {'[' * 5000}", "not valid TOML"),
        ("source = '\udcff'", "not valid TOML"),
        ("# " + "x" * config.MAX_FILE_BYTES, "more than"),
        (f"rotate = {10**300}", "rotate"),
    ],
)
def test_a_hostile_file_is_one_short_sentence(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError, match=words) as refused:
        load(path, environment={})
    assert len(str(refused.value)) < 1000


SECRETS = {
    "source": "rtsp://me:geheim@cam/live?token=geheim",
    "publish": ["mqtt://me:geheim@host/topic", "https://hooks.example/services/geheim", "exec:notify --token geheim"],
}


def test_secrets_are_shown_nowhere(tmp_path: Path) -> None:
    shown = json.dumps(config.shown(Settings(**SECRETS)))  # type: ignore[arg-type]
    assert "geheim" not in shown
    for part in ("cam/live", "host/topic", "hooks.example", "notify"):
        assert part in shown
    for wrong in ('publish = "mqtt://me:geheim@host/topic"', 'size = "rtsp://me:geheim@cam"', 'rotate = "a:geheim@b"'):
        with pytest.raises(ConfigError) as refused:
            load(written(tmp_path, wrong), environment={})
        assert "geheim" not in str(refused.value)


def test_a_misspelt_credential_is_not_left_out_in_silence() -> None:
    for right in config.CREDENTIALS:
        config.load(environment={right: "x"})
    with pytest.raises(ConfigError, match=r"FER_EDGE_MQTT_PASWORD is not known; did you mean FER_EDGE_MQTT_PASSWORD\?"):
        config.load(environment={"FER_EDGE_MQTT_PASWORD": "hunter2"})
    with pytest.raises(ConfigError, match="mqtt_host is not a setting") as caught:
        config.load(environment={"FER_EDGE_MQTT_HOST": "hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("command", [["run", "--source", "demo"], ["replay", "events.jsonl"]])
def test_a_page_that_is_not_served_is_not_opened(command: list[str]) -> None:
    done = CliRunner().invoke(main, [*command, "--open"])
    assert done.exit_code == 2
    assert "give --preview too" in done.output
