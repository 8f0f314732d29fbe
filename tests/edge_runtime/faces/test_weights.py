"""Fetching weights: the pinned file or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from fer_edge.contract.errors import DetectorError, UsageError
from fer_edge.faces import weights


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    return tmp_path / "data" / "fer-edge"


def test_the_real_file_is_installed_once(fer_data: Path, own_data_folder: Path) -> None:
    source = fer_data / "models" / weights.YUNET_FILE
    path = weights.pull_yunet(source.as_uri())
    assert path.read_bytes() == source.read_bytes()
    assert weights.find_yunet() == path
    assert weights.pull_yunet("file:///nowhere") == path, "a good file is not fetched again"
    assert list(own_data_folder.iterdir()) == [path], "nothing temporary is left"


@pytest.mark.parametrize("size", [0, 1000, weights.YUNET_BYTES, weights.YUNET_BYTES + 1, 3_000_000])
def test_another_file_is_refused_and_the_old_one_kept(tmp_path: Path, own_data_folder: Path, size: int) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"\1" * size)
    own_data_folder.mkdir(parents=True)
    installed = own_data_folder / weights.YUNET_FILE
    installed.write_bytes(b"old")
    with pytest.raises(DetectorError, match="nothing was installed"):
        weights.pull_yunet(wrong.as_uri())
    assert installed.read_bytes() == b"old"
    assert list(own_data_folder.iterdir()) == [installed]


def test_a_folder_that_cannot_be_made_is_blamed_and_not_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    with pytest.raises(DetectorError, match="XDG_DATA_HOME"):
        weights.pull_yunet("https://127.0.0.1:9/x.onnx")


@pytest.mark.parametrize("raises", ["is_file", "mkdir"])
def test_a_folder_of_somebody_else_is_blamed_and_not_the_address(
    raises: str, fer_data: Path, own_data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, raises, forbidden)
    with pytest.raises(DetectorError, match=f"cannot be kept in {own_data_folder} .Permission denied.; make it yours"):
        weights.pull_yunet((fer_data / "models" / weights.YUNET_FILE).as_uri())


def test_an_absent_file_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="--url file:///"):
        weights.pull_yunet((tmp_path / "absent.onnx").as_uri())


@pytest.mark.parametrize("url", ["http://example.org/x.onnx", "ftp://x/y", "/etc/passwd", ""])
def test_only_https_and_file_are_fetched(url: str) -> None:
    with pytest.raises(UsageError, match="https"):
        weights.pull_yunet(url)


@pytest.mark.parametrize("url", ["https://127.0.0.1:9/x.onnx", "https://127.0.0.1:9/a b", "https://127.0.0.1:x/"])
def test_an_unreachable_server_is_one_sentence(url: str) -> None:
    with pytest.raises(DetectorError, match="could not be fetched"):
        weights.pull_yunet(url, timeout_s=2)


def test_the_services_state_directory_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/state:{tmp_path}/other")
    assert weights.data_folder() == tmp_path / "state"
