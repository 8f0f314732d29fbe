"""What waits on disk: bounded, in order, and still there whatever happens to the process or the disk."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_edge.contract.errors import PublishError
from fer_edge.publish import spool as spool_module
from fer_edge.publish.spool import Spool, spool_file

MB = 1_000_000


def waiting(spool: Spool) -> list[bytes]:
    return [payload for _, payload in spool.after(0, 1_000_000)]


@given(
    st.lists(
        st.tuples(
            st.lists(st.binary(max_size=40), max_size=5), st.lists(st.integers(0, 30), max_size=5), st.booleans()
        ),
        max_size=8,
    )
)
def test_it_is_a_queue_that_outlives_its_process(steps: list[tuple[list[bytes], list[int], bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.sqlite3"
        spool, expected = Spool(path, max_bytes=MB), {}
        for payloads, delivered, reopened in steps:
            numbers = [spool.newest + 1 + n for n in range(len(payloads))]
            spool.store(payloads, delivered)
            for id in delivered:
                expected.pop(id, None)
            expected |= dict(zip(numbers, payloads, strict=True))
            if reopened:
                spool.close()
                spool = Spool(path, max_bytes=MB)
            assert dict(spool.after(0, 1000)) == expected and len(spool) == len(expected)
            assert [id for id, _ in spool.after(2, 3)] == sorted(id for id in expected if id > 2)[:3]
        spool.close()


def test_the_oldest_make_room_and_the_file_keeps_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    spool = Spool(path, max_bytes=200_000)
    for number in range(0, 2000, 10):
        spool.store([b"%06d" % n + bytes(494) for n in range(number, number + 10)])
    kept = [int(payload[:6]) for payload in waiting(spool)]

    assert kept == list(range(2000 - len(kept), 2000)), "the newest, in order"
    assert len(kept) > 150 and spool.dropped == 2000 - len(kept)
    assert spool.size_bytes <= 200_000
    assert path.stat().st_size <= 210_000
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 210_000 + 1_100_000
    spool.close()


def test_a_message_larger_than_the_bound_does_not_stay(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.sqlite3", max_bytes=50_000)
    spool.store([b"small", bytes(100_000)])
    assert (len(spool), spool.dropped) == (0, 2)
    spool.store([b"next"])
    assert waiting(spool) == [b"next"]
    spool.close()


PROGRAM = """
import sys
from pathlib import Path
from fer_edge.publish.spool import Spool
spool = Spool(Path(sys.argv[1]), max_bytes=10_000_000)
for number in range(1_000_000):
    spool.store([b"%d" % number], [number - 3] if number > 3 else [])
    print(number, flush=True)
"""


@pytest.mark.parametrize("last", [0, 777])
def test_what_it_has_taken_survives_a_kill(tmp_path: Path, last: int) -> None:
    path = tmp_path / "s.sqlite3"
    with subprocess.Popen([sys.executable, "-c", PROGRAM, path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= last:
                break
        process.kill()
        *said, _ = f"{last}\n{process.stdout.read()}".split("\n")
    taken = int(said[-1])

    spool = Spool(path, max_bytes=10 * MB)
    kept = [int(payload) for payload in waiting(spool)]
    assert kept[-1] in (taken, taken + 1), "the one being taken may be in it as well"
    assert kept == list(range(kept[0], kept[-1] + 1)) and kept[0] <= max(0, kept[-1] - 3)
    spool.close()


def test_a_second_process_is_told(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.sqlite3", max_bytes=MB)
    with pytest.raises(PublishError, match=r"s\.sqlite3 is in use by another fer-edge"):
        Spool(tmp_path / "s.sqlite3", max_bytes=MB)
    spool.close()
    spool.close()
    Spool(tmp_path / "s.sqlite3", max_bytes=MB).close()


@pytest.mark.parametrize("damage", [b"no database " * 500, None])
def test_a_damaged_file_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes | None) -> None:
    path = tmp_path / "s.sqlite3"
    spool = Spool(path, max_bytes=MB)
    spool.store([bytes(700)] * 50)
    spool.close()
    whole = path.read_bytes()
    path.write_bytes(damage or whole[:5000] + b"\xff" * 3000 + whole[8000:])

    spool = Spool(path, max_bytes=MB)
    assert spool.on_disk and len(spool) == 0
    spool.store([b"new"])
    spool.close()
    assert "is damaged" in caplog.text
    assert (tmp_path / "s.sqlite3.damaged").exists()
    spool = Spool(path, max_bytes=MB)
    assert waiting(spool) == [b"new"]
    spool.close()


def test_where_nothing_can_be_written_it_works_in_memory_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    spool = Spool(tmp_path / "file" / "s.sqlite3", max_bytes=MB)
    spool.store([b"a", b"b"])
    spool.store([], [1])
    assert not spool.on_disk and waiting(spool) == [b"b"]
    (said,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "kept in memory" in said.getMessage() and "File exists" in said.getMessage()
    spool.close()


def test_a_disk_that_fills_up_costs_nothing_that_was_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path / "s.sqlite3", max_bytes=10 * MB)
    spool.store([b"before"] * 3)
    # SQLite's own way to a full disk: the same error, from the same place.
    spool._database.execute("PRAGMA max_page_count = 4")
    for number in range(20):
        spool.store([b"%d" % number + bytes(1000)])
    assert not spool.on_disk
    assert [payload[:6].rstrip(b"\0") for payload in waiting(spool)] == [b"before"] * 3 + [b"%d" % n for n in range(20)]
    assert caplog.text.count("kept in memory") == 1 and "full" in caplog.text
    spool.close()


def test_the_file_is_its_owner_s_alone_and_named_after_the_destination(tmp_path: Path) -> None:
    path = spool_file(tmp_path / "deep" / "er", "broker.local:1883/fer/kitchen")
    other = spool_file(tmp_path / "deep" / "er", "broker.local:1883/fer-kitchen")
    assert path.name.startswith("spool-broker-local-1883-fer-kitchen-") and path != other
    spool = Spool(path, max_bytes=MB)
    spool.store([b"x"])
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    spool.close()


def test_an_event_costs_a_card_one_commit_without_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[str] = []
    connect = spool_module._connected

    def tracing(where: str) -> sqlite3.Connection:
        database = connect(where)
        assert database.execute("PRAGMA synchronous").fetchone() == (1,), "NORMAL: no sync of each commit"
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        database.set_trace_callback(statements.append)
        return database

    monkeypatch.setattr(spool_module, "_connected", tracing)
    spool = Spool(tmp_path / "s.sqlite3", max_bytes=MB)
    statements.clear()
    spool.store([b"one", b"two"], [7, 8])
    assert statements.count("COMMIT") == 1
    spool.close()
