import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from result_schema import validate

from fer_bench import cli, pipeline, process, results
from fer_edge.contract.errors import FerError, UsageError
from fer_edge.expressions import litert
from fer_edge.records import Frame
from fer_edge.service import config
from fer_edge.service.run import make_detector


def test_decoded_frames_are_the_sources_with_pictures_of_their_own(clip):
    frames = pipeline.decode(config.load(flags={"source": str(clip)}, environment={}))
    assert [frame.name for frame in frames] == [f"grey.avi#{number}" for number in range(6)]
    assert [round(float(frame.image.mean()) / 40) for frame in frames] == list(range(6))
    assert all(frame.capture_ms > 0 for frame in frames)
    source = pipeline.DecodedFrames(frames)
    assert [source.read() for _ in frames] == frames
    assert source.read() is None


def test_decoding_stops_at_max_frames(clip):
    assert len(pipeline.decode(config.load(flags={"source": str(clip), "max_frames": 4}, environment={}))) == 4


def test_the_stages_of_a_frame_add_up_to_the_whole(clip, model, tmp_path):
    settings = config.load(flags={"source": str(clip), "every_frame": True, "detector": "haar"}, environment={})
    frames = pipeline.decode(settings)
    detector, classifier = make_detector(settings), litert.load(model)
    times, found = pipeline.time_loop(settings, frames, detector, classifier, tmp_path / "events.jsonl")
    detect, classify, other, publish, total = times
    assert times.shape == (5, 6)
    assert np.all(detect + classify + other + publish <= total + 1e-6)
    assert np.all(publish > 0)
    assert len(found) == 6
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 6


def test_command_on_a_clip_without_faces(clip, model, tmp_path):
    output = tmp_path / "pipeline.json"
    arguments = ["pipeline", str(clip), "--detector", "haar", "--model", str(model), "--repeat", "1"]
    done = CliRunner().invoke(cli.main, [*arguments, "--json", str(output)])
    assert done.exit_code == 0, done.output
    content = json.loads(output.read_text())
    validate(content)
    assert content["data"]["frames"] == 6
    assert (content["data"]["width"], content["data"]["height"]) == (160, 120)
    assert content["loop"]["frames_with_face"] == content["process"]["events"] == 0
    assert content["process"]["first_event_ms"] is None
    assert content["process"]["peak_memory_mb"] > 20
    assert str(clip.parent) not in output.read_text()


def test_loop_and_process_find_the_same_faces(fer_data, model, tmp_path):
    clip = fer_data / "faces" / "head-pose-face-detection-female.gif"
    content = pipeline.measure(clip, detector="haar", model=model, settings_file=None, max_frames=8, rounds=1)
    assert content["loop"]["frames_with_face"] == content["process"]["events"] > 0
    assert 0 < content["process"]["first_event_ms"] <= content["process"]["wall_ms"]
    assert content["loop"]["stages_ms"]["classify"]["p95"] > 0
    table = pipeline.table(results.result("pipeline", {}, **content))
    assert all(title in table for title in pipeline.STAGES.values())


def test_a_settings_file_is_heeded_by_both_parts(clip, model, tmp_path):
    settings = tmp_path / "settings.toml"
    settings.write_text('every_frame = true\nrotate = 90\npublish = ["mqtt://nobody.invalid/fer"]\n')
    content = pipeline.measure(clip, detector="haar", model=model, settings_file=settings, max_frames=3, rounds=1)
    assert content["process"]["events"] == 3
    assert (content["data"]["width"], content["data"]["height"]) == (120, 160)
    assert content["settings"]["rotate"] == 90
    assert "nobody" not in json.dumps(content)


def test_what_is_no_file_is_refused(tmp_path, model):
    with pytest.raises(UsageError, match="CLIP"):
        pipeline.measure(tmp_path, detector=None, model=model, settings_file=None, max_frames=1, rounds=1)


def test_a_failing_process_is_told_with_its_last_words(tmp_path):
    with pytest.raises(FerError, match=r"exit code [12].*absent\.mkv"):
        process.launch(["--source", str(tmp_path / "absent.mkv"), "--detector", "haar"], tmp_path / "events.jsonl")


def test_figures_are_medians_and_none_counts_as_no_event():
    launches = [
        process.Launch(first_event_ms=first, peak_memory_mb=memory, wall_ms=wall, events=3)
        for first, memory, wall in ((1.0, 50.0, 9.0), (None, 70.0, 7.0), (3.0, 60.0, 8.0))
    ]
    found = process.figures(launches)
    assert (found["first_event_ms"], found["peak_memory_mb"], found["wall_ms"]) == (2.0, 60.0, 8.0)
    assert len(found["runs"]) == 3


@pytest.mark.slow
def test_ctrl_c_ends_the_measured_process_too(clip, model, tmp_path):
    output = tmp_path / "pipeline.json"
    command = [sys.executable, "-c", "from fer_bench.cli import main; main(prog_name='fer-bench')", "pipeline"]
    options = [str(clip), "--detector", "haar", "--model", str(model), "--repeat", "30", "--json", str(output)]
    bench = subprocess.Popen(
        [*command, *options, "--max-frames", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    children: list[int] = []
    try:
        while not children and bench.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
            children = _children_named("fer_edge", bench.pid)
        assert children, "the measured process never came"
        time.sleep(0.1)  # it starts for half a second, and is watched from its first instant on
        bench.send_signal(signal.SIGINT)
        _, messages = bench.communicate(timeout=20)
    finally:
        bench.kill()
    assert bench.returncode == 130
    assert "Traceback" not in messages
    assert not output.exists()
    assert not any(_is_running(child) for child in children)


def _children_named(name: str, parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            status = (entry / "status").read_text() if entry.name.isdecimal() else ""
            if f"PPid:\t{parent}\n" in status and name in (entry / "cmdline").read_text():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_frames_come_one_after_another_in_the_same_memory():
    shapes = [(4, 6), (4, 6), (8, 6), (8, 6)]
    frames = [
        Frame(image=np.full(shape, number, np.uint8), time=0.0, captured=float(number), source="test")
        for number, shape in enumerate(shapes)
    ]
    source = pipeline.OneBuffer(frames)
    seen = []
    for number in range(len(frames)):
        source.fill()
        frame = source.read()
        assert (frame.image == number).all()
        assert frame.image.shape == shapes[number]
        assert frame.captured == number
        assert not np.shares_memory(frame.image, frames[number].image)
        seen.append(frame.image)
    assert np.shares_memory(seen[0], seen[1])
    assert np.shares_memory(seen[2], seen[3])
    source.fill()
    assert source.read() is None
