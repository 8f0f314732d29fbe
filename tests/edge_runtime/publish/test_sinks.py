from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fer_edge.contract.errors import PublishError, ReaderGoneError, UsageError
from fer_edge.publish import SINKS, Event, SinkContext, Sinks, open_sink, open_sinks
from fer_edge.publish import event as event_module
from results import face, result


class ListSink:
    def __init__(self, name: str = "list", *, every_frame: bool = False, fails: Exception | None = None) -> None:
        self.name = name
        self.every_frame = every_frame
        self.fails = fails
        self.seen: list[Event] = []
        self.closed = 0

    def publish(self, event: Event) -> None:
        if self.fails:
            raise self.fails
        self.seen.append(event)

    def close(self) -> None:
        self.closed += 1


def test_frames_without_faces_go_only_where_they_are_wanted(context: SinkContext) -> None:
    usual, every = ListSink(), ListSink(every_frame=True)

    with Sinks([usual, every], context) as sinks:
        assert sinks.publish(result(seq=1))
        assert sinks.publish(result(face(), seq=2))

    assert [event.result.seq for event in usual.seen] == [2]
    assert [event.result.seq for event in every.seen] == [1, 2]
    assert (usual.closed, every.closed) == (1, 1)


def test_an_event_is_encoded_once_for_all_sinks_and_not_before_one_asks(
    context: SinkContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[dict[str, Any]] = []
    encode = event_module.to_json

    def counting(data: dict[str, Any]) -> str:
        made.append(data)
        return encode(data)

    monkeypatch.setattr(event_module, "to_json", counting)
    sinks = [ListSink(), ListSink()]

    Sinks(sinks, context).publish(result(face()))

    assert made == []
    assert sinks[0].seen[0].json == sinks[1].seen[0].json
    assert len(made) == 1
    assert made[0]["device"] == "pi-kitchen" and made[0]["run"] == "9f3c2a"


def test_a_failed_sink_is_left_out_and_the_run_ends_with_its_error(
    context: SinkContext, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = ListSink(fails=PublishError("disk full")), ListSink()

    with pytest.raises(PublishError, match="disk full") as raised, Sinks([bad, good], context) as sinks:
        assert sinks.publish(result(face(), seq=1))
        assert sinks.publish(result(face(), seq=2))

    assert raised.value.exit_code == 1
    assert [event.result.seq for event in good.seen] == [1, 2]
    assert (bad.closed, good.closed) == (1, 1)
    assert [record.getMessage() for record in caplog.records] == ["disk full; the other outputs go on"]


def test_the_only_sink_failing_ends_the_run_at_once_and_says_so_once(
    context: SinkContext, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        pytest.raises(PublishError, match="disk full"),
        Sinks([ListSink(fails=PublishError("disk full"))], context) as s,
    ):
        assert not s.publish(result(face()))

    assert caplog.records == []


def test_a_reader_that_left_is_no_failure(context: SinkContext, caplog: pytest.LogCaptureFixture) -> None:
    pipe, good = ListSink(fails=ReaderGoneError("gone")), ListSink()

    with Sinks([pipe, good], context) as sinks:
        assert sinks.publish(result(face()))
        good.fails = ReaderGoneError("gone too")
        assert not sinks.publish(result(face()))

    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []
    assert ReaderGoneError.exit_code == 0


def test_the_run_s_own_error_is_not_hidden_by_a_sink_s(context: SinkContext) -> None:
    with pytest.raises(KeyError), Sinks([ListSink(fails=PublishError("disk full")), ListSink()], context) as sinks:
        sinks.publish(result(face()))
        raise KeyError


def test_every_failure_is_said_once_somewhere(context: SinkContext, caplog: pytest.LogCaptureFixture) -> None:
    first, last = ListSink(fails=PublishError("disk full")), ListSink()
    with pytest.raises(PublishError, match="disk full"), Sinks([first, last], context) as sinks:
        sinks.publish(result(face()))
        last.fails = PublishError("pipe broke")
        assert not sinks.publish(result(face()))
    assert caplog.messages == ["disk full; the other outputs go on", "pipe broke"]


def test_what_fails_while_the_run_ends_by_another_error_is_in_the_log(
    context: SinkContext, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(ListSink):
        def close(self) -> None:
            raise PublishError("disk full")

    with pytest.raises(KeyError), Sinks([Full()], context):
        raise KeyError
    assert caplog.messages == ["disk full"]


def test_all_sinks_are_closed_even_when_closing_one_fails(context: SinkContext) -> None:
    class Stuck(ListSink):
        def close(self) -> None:
            super().close()
            raise RuntimeError("stuck")

    around = [ListSink(), Stuck(), ListSink()]

    with pytest.raises(RuntimeError, match="stuck"):
        Sinks(around, context).close()

    assert [sink.closed for sink in around] == [1, 1, 1]


def test_several_specs_open_as_one(context: SinkContext, tmp_path: Path, checked: Callable[[bytes], Any]) -> None:
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"

    with open_sinks([f"file:{a}", f"file:{b}"], context) as sinks:
        sinks.publish(result(face()))

    assert a.read_bytes() == b.read_bytes()
    assert checked(a.read_bytes())["seq"] == 1234


def test_when_one_cannot_be_opened_the_others_are_let_go(context: SinkContext, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"

    with pytest.raises(PublishError):
        open_sinks([f"file:{path}", f"file:{tmp_path}/missing/b.jsonl"], context)

    open_sink(f"file:{path}", context).close()  # its lock is free again


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("", "of no known kind"),
        ("out.jsonl", "write file:out.jsonl"),
        ("mqt://host/topic", "did you mean mqtt?"),
        ("-x", "of no known kind"),
        ("-:x", "standard output is written '-'"),
        ("file:", "lacks its path"),
        ("file:a?keep=0", "from 1 to 1000"),
        ("file:a?keep=many", "whole number"),
        ("file:a?max_mb=", "whole number"),
        ("file:a?size=3", "unknown option 'size'"),
        ("file:a?keep=2&keep=3", "given twice"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(
    spec: str, says: str, context: SinkContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError) as raised:
        open_sink(spec, context)

    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_kind_is_answered_with_the_known_ones_and_without_the_password(context: SinkContext) -> None:
    with pytest.raises(UsageError) as raised:
        open_sink("mqqt://me:secret@host/topic", context)

    assert all(kind.form in str(raised.value) for kind in SINKS.values())
    assert "secret" not in str(raised.value)


def test_the_same_output_twice_is_refused(context: SinkContext, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="number 2"):
        open_sinks([f"file:{tmp_path}/a", f"file:{tmp_path}/a"], context)
    with pytest.raises(UsageError, match="number 3"):
        open_sinks([f"file:{tmp_path}/a", f"file:{tmp_path}/b", f"file:{tmp_path}/./a?keep=2"], context)
    assert not (tmp_path / "a").exists()
