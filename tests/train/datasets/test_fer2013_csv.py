from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer_edge.contract.errors import DataError
from fer_train.datasets import Dataset, load

WriteCsv = Callable[..., Path]
FLAT = " ".join(["7"] * 2304)


def assert_same(found: Dataset, wanted: Dataset) -> None:
    assert set(found.splits) == set(wanted.splits)
    for name, split in wanted.splits.items():
        assert found.split(name).sha256() == split.sha256()


@pytest.mark.parametrize("name", ["fer2013.csv", "fer2013.csv.gz", "no-ending"])
def test_plain_and_compressed_hold_the_same(
    name: str, csv_rows: list[str], write_csv: WriteCsv, made_data: Dataset
) -> None:
    assert_same(load(write_csv(csv_rows, name)), made_data)


def test_kaggles_header_with_spaces_and_other_column_order(
    csv_rows: list[str], write_csv: WriteCsv, made_data: Dataset
) -> None:
    kaggle = ["emotion, Usage, pixels"]
    for row in csv_rows[1:]:
        emotion, pixels, usage = row.split(",")
        kaggle.append(f"{emotion},{usage},{pixels}")
    assert_same(load(write_csv(kaggle, "icml_face_data.csv")), made_data)


def test_byte_order_mark_and_windows_line_ends(csv_rows: list[str], tmp_path: Path, made_data: Dataset) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_bytes("\r\n".join(csv_rows).encode("utf-8-sig"))
    assert_same(load(path), made_data)


def test_all_three_splits_and_names_by_row(write_csv: WriteCsv) -> None:
    rows = [f"{i},{FLAT},{usage}" for i, usage in enumerate(("PrivateTest", "Training", "PublicTest"))]
    data = load(write_csv(["emotion,pixels,Usage", *rows]))
    assert list(data.splits) == ["Training", "PublicTest", "PrivateTest"]
    assert data.split("Training").names == ("fer2013.csv#1",)
    assert data.counts()["PrivateTest"] == [1, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (f"3,{FLAT[:-2]},Training", "line 3: 2303 pixels where 48x48 needs 2304"),
        (f"3,{FLAT} 7,Training", "line 3: 2305 pixels where 48x48 needs 2304"),
        (f"3,256{FLAT[1:]},Training", "line 3: grey level 256 is outside 0..255"),
        (f"3,-1{FLAT[1:]},Training", "line 3: grey level -1 is outside 0..255"),
        (f"3,{'9' * 30}{FLAT[1:]},Training", "line 3"),
        (f"3,7.5{FLAT[1:]},Training", "line 3: the pixels are not whole numbers"),
        ("3,,Training", "line 3"),
        (f"7,{FLAT},Training", "line 3: class '7' is unknown; FER2013 has 0 to 6"),
        (f"-1,{FLAT},Training", "line 3: class '-1' is unknown"),
        (f"{'9' * 5000},{FLAT},Training", "line 3: class '999"),
        (f"happy,{FLAT},Training", "line 3: class 'happy' is unknown"),
        (f"3,{FLAT},Test", "line 3: Usage 'Test' is unknown; FER2013 has Training, PublicTest, PrivateTest"),
        ("3", "line 3: 1 columns where the header has 3"),
        (f"3,{'7 ' * 40_000},Training", "field larger than field limit"),
    ],
)
def test_a_bad_row_is_named(row: str, sentence: str, write_csv: WriteCsv) -> None:
    path = write_csv(["emotion,pixels,Usage", f"0,{FLAT},Training", row])
    with pytest.raises(DataError, match=re.escape(sentence)) as caught:
        load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("column", ["emotion", "pixels"])
def test_a_missing_column_is_named(column: str, write_csv: WriteCsv) -> None:
    header = [name for name in ("emotion", "pixels", "Usage") if name != column]
    with pytest.raises(DataError, match=f"has no column {column}; its first row reads '{','.join(header)}'"):
        load(write_csv([",".join(header)]))


def test_a_table_without_usage_is_all_there_is_to_divide(write_csv: WriteCsv) -> None:
    data = load(write_csv(["emotion,pixels", *(f"{i % 2},{FLAT}" for i in range(4))]))
    assert {name: len(split) for name, split in data.splits.items()} == {"Training": 4}
    # A column more may be Usage under another name.
    with pytest.raises(DataError, match="has no column usage; its first row reads 'emotion,pixels,split'"):
        load(write_csv(["emotion,pixels,split", f"0,{FLAT},PublicTest"]))


def test_empty_lines_are_passed_over(write_csv: WriteCsv) -> None:
    path = write_csv(["", "emotion,pixels,Usage", "", f"3,{FLAT},Training", ",,", f"7,{FLAT},Training", ""])
    with pytest.raises(DataError, match=r"line 6: class '7'"):
        load(path)
    path.write_text(path.read_text().replace("\n7,", "\n6,"))
    assert load(path).split("Training").labels.tolist() == [3, 6]


def test_empty_file_and_header_alone(tmp_path: Path, write_csv: WriteCsv) -> None:
    empty = tmp_path / "empty.csv"
    empty.touch()
    with pytest.raises(DataError, match="has no column emotion or pixels; its first row reads"):
        load(empty)
    with pytest.raises(DataError, match="a header and no rows"):
        load(write_csv(["emotion,pixels,Usage"]))


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.csv does not exist; give --data"):
        load(tmp_path / "nothing.csv")


@pytest.mark.parametrize("kept", [0.3, 0.999])
def test_truncated_gzip(kept: float, csv_rows: list[str], write_csv: WriteCsv) -> None:
    path = write_csv(csv_rows, "fer2013.csv.gz")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(DataError, match=r"cannot be read to its end .*fetch the file again"):
        load(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=st.binary(max_size=200), at=st.integers(0, 400))
def test_any_damage_is_a_data_error_or_harmless(damage: bytes, at: int, tmp_path: Path) -> None:
    whole = f"emotion,pixels,Usage\n0,{FLAT},Training\n".encode()
    path = tmp_path / "fer2013.csv"
    path.write_bytes(whole[:at] + damage + whole[at + len(damage) :])
    try:
        data = load(path)
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert data.split(next(iter(data.splits))).images.dtype == np.uint8
