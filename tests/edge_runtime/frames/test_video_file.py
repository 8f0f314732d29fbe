import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.contract.errors import SourceError
from fer_edge.frames.video_file import VideoFile, gif_is_whole
from fer_edge.records import Frame


def drain(source: VideoFile) -> list[Frame]:
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    return frames


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty frames at 20 per second; each has its number as its grey level."""
    path = tmp_path_factory.mktemp("clips") / "count.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (64, 48))
    assert writer.isOpened()
    for number in range(40):
        writer.write(np.full((48, 64, 3), 5 * number, np.uint8))
    writer.release()
    return path


def test_every_frame_comes_once_in_order_with_its_name(clip: Path) -> None:
    source = VideoFile(clip)
    levels, names = [], []
    while (frame := source.read()) is not None:
        levels.append(round(float(frame.image.mean()) / 5))
        names.append(frame.name)
        assert frame.image.shape == (48, 64, 3) and frame.capture_ms > 0 and not frame.independent
    assert levels == list(range(40))
    assert names == [f"count.avi#{n}" for n in range(40)]
    assert source.read() is None
    source.close()
    source.close()


def test_time_advances_by_the_clips_clock_however_fast_it_is_read(clip: Path) -> None:
    began = time.time()
    frames = drain(VideoFile(clip))
    np.testing.assert_allclose(np.diff([f.captured for f in frames]), 0.05, atol=1e-3)
    np.testing.assert_allclose(np.diff([f.time for f in frames]), 0.05, atol=1e-3)
    assert began <= frames[0].time < time.time()


def test_frames_share_one_buffer(clip: Path) -> None:
    frames = drain(VideoFile(clip))
    assert np.shares_memory(frames[0].image, frames[-1].image)


def test_a_clip_cut_in_half_gives_its_half_and_then_says_where_it_broke(clip: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.avi"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    source = VideoFile(cut)
    delivered = 0
    with pytest.raises(SourceError, match=r"cut\.avi breaks off after frame (\d+)") as error:
        while source.read() is not None:
            delivered += 1
    assert 4 < delivered < 30
    assert f"after frame {delivered - 1}:" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100, b"GIF89a", b"RIFF\x00\x10\x00\x00AVI LIST"])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mkv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="not a video that can be decoded"):
        VideoFile(path).read()


def test_a_name_that_looks_like_a_protocol_is_a_file(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("http:clip %d.avi").write_bytes(clip.read_bytes())
    assert len(drain(VideoFile(Path("http:clip %d.avi")))) == 40


COUNTS = {
    "book.mkv": 109,
    "milk.mkv": 51,
    "no.mkv": 66,
    "sister.mkv": 87,
    "classroom.gif": 45,
    "head-pose-face-detection-female.gif": 23,
}


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_real_clips_end_without_complaint(fer_data: Path, name: str, count: int) -> None:
    frames = drain(VideoFile(fer_data / "faces" / name))
    assert len(frames) == count
    assert (np.diff([f.captured for f in frames]) > 0).all()


@pytest.mark.parametrize("name", ["book.mkv", "no.mkv", "classroom.gif", "head-pose-face-detection-female.gif"])
@pytest.mark.parametrize("damage", ["cut", "zeros"])
def test_real_clips_damaged_half_way_give_what_they_can(fer_data: Path, tmp_path: Path, name: str, damage: str) -> None:
    data = (fer_data / "faces" / name).read_bytes()
    half = len(data) // 2
    path = tmp_path / name
    path.write_bytes(data[:half] + (b"" if damage == "cut" else bytes(20_000) + data[half + 20_000 :]))
    source = VideoFile(path)
    delivered = 0
    with pytest.raises(SourceError, match="breaks off after frame"):
        while source.read() is not None:
            delivered += 1
    assert COUNTS[name] / 4 < delivered < COUNTS[name]


def test_a_gifs_blocks_are_followed_to_its_end(fer_data: Path) -> None:
    data = (fer_data / "faces" / "classroom.gif").read_bytes()
    assert gif_is_whole(data)
    assert gif_is_whole(data[:-1])  # careless encoders leave the trailer out
    assert not any(gif_is_whole(data[:end]) for end in range(14, len(data) - 1, 9973))
