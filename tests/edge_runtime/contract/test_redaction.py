import string

from hypothesis import given
from hypothesis import strategies as st

from fer_edge.contract.redaction import redact

SECRET = st.text(string.ascii_letters + string.digits + string.punctuation, min_size=1)


@given(user=SECRET, password=SECRET)
def test_whatever_stands_before_the_last_at_sign_is_gone(user: str, password: str) -> None:
    assert redact(f"rtsp://{user}:{password}@camera.local:554/live/1") == "rtsp://camera.local:554/live/1"


@given(secret=st.text(string.ascii_letters + string.digits, min_size=1))
def test_queries_and_values_in_the_path_are_gone(secret: str) -> None:
    assert redact(f"http://cam/video.cgi?pwd={secret}#{secret}") == "http://cam/video.cgi"
    assert redact(f"rtsp://cam/user=admin&password={secret}&channel=1") == "rtsp://cam/user=…&password=…&channel=…"


def test_an_address_without_secrets_and_a_path_stay_as_they_are() -> None:
    for plain in ("rtsp://192.168.1.7:554/stream1", "udp://[ff02::1]:5000", "clips/a@b=c?.mkv", "demo"):
        assert redact(plain) == plain


@given(secret=st.text(string.ascii_letters + string.digits, min_size=1).map("p".__add__))
def test_a_mistyped_address_shows_no_password_either(secret: str) -> None:
    for address in (
        f"rtsp:/me:{secret}@cam/live",
        f"rtsp//me:{secret}@cam",
        f"me:{secret}@cam",
        f"rtsp://me:{secret}/live",
    ):
        assert secret not in redact(address).replace("rtsp", "").replace("cam", "").replace("live", "")


def test_a_port_stays() -> None:
    assert redact("rtsp://me:x@cam:554/live") == "rtsp://cam:554/live"
