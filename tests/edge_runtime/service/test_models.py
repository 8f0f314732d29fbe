"""Models are installed whole or not at all, taken back, and swapped into a running loop."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import BrightnessDetector, ListSource, scene

from fer_edge.contract import model_file
from fer_edge.contract.errors import ModelFileError, UsageError
from fer_edge.contract.shipped import shipped_model
from fer_edge.expressions import litert
from fer_edge.expressions.smoothing import Smoother
from fer_edge.faces.tracking import Tracker
from fer_edge.loop import Loop
from fer_edge.service import models
from fer_edge.service.models import Installed, ModelSwap, install, installed, rollback, serving


def until(happens: Callable[[], object], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def load(path: Path) -> None:
    """The check in this process: the one in a process of its own has a test of its own."""
    litert.load(path)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path / 'state'}:/elsewhere")
    return tmp_path / "state"


@pytest.fixture
def named(tmp_path: Path) -> Callable[..., Path]:
    """The shipped network under another name, so that it can be told apart."""

    def make(name: str, **changes: object) -> Path:
        path = tmp_path / f"{name}.tflite"
        dataclasses.replace(model_file.read(shipped_model()), name=name, **changes).write(path)  # type: ignore[arg-type]
        return path

    return make


def name_of(path: Path) -> str:
    return model_file.read(path).name


def test_nothing_installed_is_the_shipped_model(state: Path) -> None:
    assert installed() == Installed(None, None)
    assert serving("") == shipped_model()
    assert serving("/some/model.tflite") == Path("/some/model.tflite")
    with pytest.raises(UsageError, match="no model was installed"):
        rollback(verify=load)
    assert not state.exists(), "looking makes no folder"


def test_install_and_rollback_and_back(named: Callable[..., Path], state: Path) -> None:
    install(named("first"), verify=load)
    assert name_of(serving("")) == "first"
    install(named("second"), verify=load)
    assert name_of(serving("")) == "second"
    assert rollback(verify=load) == installed().current
    assert name_of(serving("")) == "first"
    rollback(verify=load)
    assert name_of(serving("")) == "second"
    install(named("third"), verify=load)
    assert sorted(name_of(path) for path in (state / "models").glob("*.tflite")) == ["second", "third"]
    assert name_of(serving("")) == "third"


def test_back_to_the_shipped_model(named: Callable[..., Path]) -> None:
    install(named("first"), verify=load)
    assert rollback(verify=load) is None
    assert serving("") == shipped_model()
    rollback(verify=load)
    assert name_of(serving("")) == "first"


def test_the_same_model_again_keeps_the_one_before(named: Callable[..., Path]) -> None:
    for name in ("first", "second", "second"):
        install(named(name), verify=load)
    rollback(verify=load)
    assert name_of(serving("")) == "first"


def test_a_bad_model_is_refused_and_the_old_one_stays(named: Callable[..., Path], tmp_path: Path, state: Path) -> None:
    install(named("first"), verify=load)
    before = sorted((state / "models").iterdir())
    damaged = tmp_path / "damaged.tflite"
    data = bytearray(shipped_model().read_bytes())
    data[1000] ^= 1
    damaged.write_bytes(data)
    golden = model_file.read(shipped_model()).golden
    liar = named("liar", golden=dataclasses.replace(golden, probabilities=golden.probabilities[:, ::-1].copy()))
    for bad, words in ((damaged, "damaged"), (liar, "computes something else"), (tmp_path, "does not exist")):
        with pytest.raises((ModelFileError, UsageError), match=words):
            install(bad, verify=load)
    assert name_of(serving("")) == "first"
    assert sorted((state / "models").iterdir()) == before, "no copy is left behind"


def test_an_installed_file_that_rots_is_passed_over_for_the_one_before(
    named: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    install(named("first"), verify=load)
    install(named("second"), verify=load)
    current = installed().current
    assert current is not None
    current.write_bytes(current.read_bytes()[:-100])
    assert name_of(serving("")) == "first"
    assert "the installed model cannot be used" in caplog.text
    previous = installed().previous
    assert previous is not None
    previous.unlink()
    assert serving("") == shipped_model()


@pytest.mark.parametrize(
    "record",
    ["", "[]", "{}", '{"current": "../../etc/passwd", "previous": null}', '{"current": 7, "previous": null}', "\0"],
)
def test_a_record_that_cannot_be_used_is_the_shipped_model(state: Path, record: str) -> None:
    (state / "models").mkdir(parents=True)
    (state / "models" / models.STATE).write_text(record)
    assert serving("") == shipped_model()


def test_what_an_interruption_left_is_cleared_away(named: Callable[..., Path], state: Path) -> None:
    install(named("first"), verify=load)
    (state / "models" / ".half.tmp").write_bytes(b"half")
    install(named("second"), verify=load)
    assert not (state / "models" / ".half.tmp").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_sentence(named: Callable[..., Path], state: Path) -> None:
    state.mkdir(mode=0o500)
    with pytest.raises(UsageError, match="cannot be written"):
        install(named("first"), verify=load)


def test_a_folder_that_is_a_file_is_one_sentence(named: Callable[..., Path], state: Path) -> None:
    state.write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        install(named("first"), verify=load)


def test_the_check_apart_refuses_in_one_sentence(tmp_path: Path) -> None:
    models.verify_apart(shipped_model())
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(shipped_model().read_bytes()[:5000])
    with pytest.raises(ModelFileError, match=r"^\S*cut\.tflite carries no readable"):
        models.verify_apart(cut)


def test_a_crash_and_a_hang_of_the_check_are_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    python = sys.executable
    run = subprocess.run

    def instead(code: str) -> None:
        monkeypatch.setattr(models.subprocess, "run", lambda command, **options: run([python, "-c", code], **options))

    instead("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(ModelFileError, match=f"crashes the TFLite runtime .signal {int(signal.SIGSEGV)}."):
        models.verify_apart(shipped_model())
    monkeypatch.setattr(models, "VERIFY_LIMIT_S", 0.2)
    instead("import time; time.sleep(60)")
    with pytest.raises(ModelFileError, match="not verified within"):
        models.verify_apart(shipped_model())


class TestSwap:
    @pytest.fixture
    def loop(self, monkeypatch: pytest.MonkeyPatch) -> Loop:
        monkeypatch.setattr(models, "verify_apart", load)
        classifier = litert.load(shipped_model())
        return Loop(
            ListSource([scene(at=n / 30) for n in range(3)]), BrightnessDetector(), classifier,
            tracker=Tracker(sightings=1), smoother=Smoother(classifier.labels),
        )  # fmt: skip

    def test_an_installed_model_takes_over_and_a_rollback_too(self, loop: Loop, named: Callable[..., Path]) -> None:
        swap = ModelSwap(loop, "", threads=1, since=models.mark_of(""))
        swap.poll()
        assert swap._worker is None, "nothing was installed"
        results = loop.results()
        assert next(results).faces
        install(named("new"), verify=load)
        swap.poll()
        until(lambda: loop.classifier.model.name == "new")  # type: ignore[attr-defined]
        assert next(results).faces
        rollback(verify=load)
        swap.poll()
        until(lambda: loop.classifier.model.name == name_of(shipped_model()))  # type: ignore[attr-defined]
        assert next(results).faces

    def test_what_is_installed_while_a_run_starts_is_not_missed(self, loop: Loop, named: Callable[..., Path]) -> None:
        since = models.mark_of("")
        install(named("meanwhile"), verify=load)
        swap = ModelSwap(loop, "", threads=1, since=since)
        swap.poll()
        until(lambda: loop.classifier.model.name == "meanwhile")  # type: ignore[attr-defined]

    def test_installing_the_same_again_reaches_who_fell_back(self, loop: Loop, named: Callable[..., Path]) -> None:
        install(named("first"), verify=load)
        before = installed().current
        swap = ModelSwap(loop, "", threads=1, since=models.mark_of(""))
        install(named("first"), verify=load)
        assert installed().current == before and installed().previous is None
        swap.poll()
        until(lambda: loop.classifier.model.name == "first")  # type: ignore[attr-defined]

    def test_a_file_of_the_settings_is_read_again_when_asked(self, loop: Loop, named: Callable[..., Path]) -> None:
        path = named("of the settings")
        swap = ModelSwap(loop, str(path), threads=1, since=models.mark_of(str(path)))
        install(named("installed"), verify=load)
        swap.poll()
        assert swap._worker is None, "a setting wins over what is installed"
        swap.request()
        swap.poll()
        until(lambda: loop.classifier.model.name == "of the settings")  # type: ignore[attr-defined]

    @pytest.mark.parametrize("wrong", ["damaged", "labels", "missing"])
    def test_a_bad_one_leaves_the_running_one(
        self, loop: Loop, named: Callable[..., Path], caplog: pytest.LogCaptureFixture, wrong: str
    ) -> None:
        path = named("bad", **({"labels": tuple("abcdefg")} if wrong == "labels" else {}))
        if wrong == "damaged":
            path.write_bytes(path.read_bytes()[:-1])
        if wrong == "missing":
            path.unlink()
        running = loop.classifier
        swap = ModelSwap(loop, str(path), threads=1, since=models.mark_of(str(path)))
        swap.request()
        swap.poll()
        until(lambda: "the model that runs goes on" in caplog.text)
        assert loop.classifier is running

    def test_two_requests_at_once_are_one_after_the_other(
        self, loop: Loop, named: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        at_work, most, done = [], [], threading.Event()

        def slow(path: Path) -> None:
            at_work.append(1)
            most.append(len(at_work))
            done.wait(0.1)
            at_work.pop()

        monkeypatch.setattr(models, "verify_apart", slow)
        swap = ModelSwap(loop, str(named("x")), threads=1, since=None)
        for _ in range(5):
            swap.request()
            swap.poll()
        until(lambda: swap._worker is not None and not swap._worker.is_alive())
        swap.poll()
        until(lambda: len(most) == 2)
        assert max(most) == 1


def test_the_record_is_plain_json(named: Callable[..., Path], state: Path) -> None:
    install(named("first"), verify=load)
    record = json.loads((state / "models" / models.STATE).read_text())
    assert record["previous"] is None
    assert (state / "models" / record["current"]).is_file()
