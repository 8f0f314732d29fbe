"""The network on the TFLite runtime computes what OpenCV computes from the same file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_edge.contract.errors import DetectorError
from fer_edge.contract.tflite import open_interpreter
from fer_edge.faces import weights
from fer_edge.faces.tracking import overlap
from fer_edge.faces.yunet import Network, YuNetDetector
from fer_edge.faces.yunet_network import OUTPUTS, RANGES, STRIDES, build, build_observed, read_weights
from fer_edge.records import Frame

HEIGHT, WIDTH = 96, 160


@pytest.fixture(scope="module")
def onnx(fer_data: Path) -> Path:
    return fer_data / "models" / weights.YUNET_FILE


def noise(*shape: int) -> np.ndarray:
    """Smooth enough for the network to answer with more than saturated values."""
    coarse = np.random.default_rng(3).integers(0, 256, (*(max(2, n // 8) for n in shape[:2]), *shape[2:]), np.uint8)
    return cv2.resize(coarse, shape[1::-1], interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_output_is_opencvs(onnx: Path, channels: int) -> None:
    picture = noise(HEIGHT, WIDTH, 3) if channels == 3 else noise(HEIGHT, WIDTH)
    net = cv2.dnn.readNetFromONNX(str(onnx))
    net.setInput(cv2.dnn.blobFromImage(picture if channels == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)))
    shape = (HEIGHT, WIDTH, channels)
    outputs = Network(build(read_weights(onnx), *shape), shape, threads=1).run(picture)
    for made, stride in zip(outputs, STRIDES, strict=True):
        assert made.shape == (1, HEIGHT // stride, WIDTH // stride, OUTPUTS)
        ours = made.reshape(-1, OUTPUTS)
        probabilities = 1 / (1 + np.exp(-ours[:, :2]))
        for name, columns in (("cls", probabilities[:, :1]), ("obj", probabilities[:, 1:]),
                              ("bbox", ours[:, 2:6]), ("kps", ours[:, 6:])):  # fmt: skip
            theirs = net.forward(f"{name}_{stride}").reshape(columns.shape)
            np.testing.assert_allclose(columns, theirs, atol=2e-4, err_msg=f"{name}_{stride}")


def test_faces_eyes_and_scores_are_those_of_opencvs_detector(fer_data: Path, onnx: Path) -> None:
    clip = cv2.VideoCapture(str(fer_data / "faces" / "head-pose-face-detection-female-and-male.gif"))
    detector, seen = YuNetDetector(onnx, width=640, quantized=False), 0
    for _ in range(4):
        _, image = clip.read()
        height, width = image.shape[:2]
        _, rows = cv2.FaceDetectorYN.create(str(onnx), "", (width, height), 0.5, 0.3, 500).detect(image)
        ours = sorted(detector.scan(Frame(image=image, time=0.0, captured=0.0, source="test")), key=lambda d: d.box)
        assert len(ours) == len(rows)
        for found, row in zip(ours, sorted(rows.tolist()), strict=True):
            assert found.eyes is not None
            np.testing.assert_allclose([*found.box, *found.eyes[0], *found.eyes[1]], row[:8], atol=0.05)
            assert found.score == pytest.approx(row[14], abs=1e-4)
            seen += 1
    assert seen >= 4


@pytest.mark.parametrize("colour", [False, True])
def test_a_look_around_a_scanned_face_finds_it_again(fer_data: Path, onnx: Path, colour: bool) -> None:
    _, image = cv2.VideoCapture(str(fer_data / "faces" / "book.mkv")).read()
    frame = Frame(
        image=image if colour else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), time=0.0, captured=0.0, source="test"
    )
    detector = YuNetDetector(onnx)
    (scanned,) = detector.scan(frame)
    x, y, width, height = scanned.box
    (looked,) = detector.look(frame, (x + 0.1 * width, y - 0.1 * height, width, height))
    np.testing.assert_allclose(looked.box, scanned.box, atol=0.15 * width)


def test_nothing_of_an_earlier_frame_is_left_beside_a_smaller_one(fer_data: Path, onnx: Path) -> None:
    _, image = cv2.VideoCapture(str(fer_data / "faces" / "book.mkv")).read()
    detector = YuNetDetector(onnx, width=640)
    (before,) = detector.scan(Frame(image=image, time=0.0, captured=0.0, source="test"))
    below = round(before.box[1]) - 2
    # Same multiple of 32, so the same network, whose lower rows last held a face.
    dark = np.zeros_like(image[: 480 - 31])
    assert below > 0
    assert not detector.scan(Frame(image=dark, time=0.0, captured=0.0, source="test"))
    (again,) = detector.scan(Frame(image=image, time=0.0, captured=0.0, source="test"))
    assert again == before


def test_weights_are_those_that_opencv_reads(onnx: Path) -> None:
    net = cv2.dnn.readNetFromONNX(str(onnx))
    layers = [net.getLayer(number) for number in range(1, len(net.getLayerNames()) + 1)]
    theirs = [layer.blobs for layer in layers if layer.type == "Convolution"]
    ours = read_weights(onnx)
    assert len(ours) == len(theirs) == 53
    for (kernel, bias), (expected_kernel, expected_bias) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(kernel, expected_kernel)
        np.testing.assert_array_equal(bias, expected_bias.ravel())


def test_a_damaged_file_is_refused(tmp_path: Path, onnx: Path) -> None:
    data = bytearray(onnx.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "flipped.onnx").write_bytes(data)
    with pytest.raises(DetectorError, match=r"flipped\.onnx is damaged"):
        read_weights(tmp_path / "flipped.onnx")
    with pytest.raises(DetectorError, match=r"absent\.onnx cannot be read"):
        read_weights(tmp_path / "absent.onnx")


def test_a_scan_in_int8_finds_the_faces_of_one_in_float(fer_data: Path, onnx: Path) -> None:
    clip = cv2.VideoCapture(str(fer_data / "faces" / "head-pose-face-detection-female-and-male.gif"))
    exact, quick, seen = YuNetDetector(onnx, quantized=False), YuNetDetector(onnx), 0
    for _ in range(4):
        _, image = clip.read()
        frame = Frame(image=image, time=0.0, captured=0.0, source="test")
        expected, found = (sorted(detector.scan(frame), key=lambda d: d.box) for detector in (exact, quick))
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.box != theirs.box
            assert overlap(ours.box, theirs.box) > 0.8
            assert ours.score == pytest.approx(theirs.score, abs=0.1)
            seen += 1
    assert seen >= 4


def test_there_is_a_range_for_every_tensor_and_it_is_that_tensors(fer_data: Path, onnx: Path) -> None:
    """What a face's picture makes of each tensor lies within its range, but for one in a thousand, and fills it."""
    _, image = cv2.VideoCapture(str(fer_data / "faces" / "book.mkv")).read()
    shape = (384, 512, 3)
    network = Network(build_observed(read_weights(onnx), *shape), shape, threads=1)
    for values, (low, high) in zip(network.run(cv2.resize(image, shape[1::-1])), RANGES, strict=True):
        assert np.mean((values < low) | (values > high)) < 1e-3
        assert np.ptp(values) > 0.35 * (high - low)


def test_the_quantized_network_computes_in_int8_up_to_the_heads(onnx: Path) -> None:
    interpreter, _ = open_interpreter(build(read_weights(onnx), HEIGHT, WIDTH, 3, ranges=RANGES), threads=1)
    kinds = [np.dtype(details["dtype"]) for details in interpreter.get_tensor_details()]
    # Of the heads: for each level the features, two layers' results, weights and biases.
    assert kinds.count(np.dtype(np.float32)) == 3 * 7
    assert interpreter.get_input_details()[0]["dtype"] == np.int8


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_in_the_corner_is_seen_as_if_it_were_alone(onnx: Path, channels: int, quantized: bool) -> None:
    """Whatever was there before, and as the mirror image that a scan may ask for."""
    convolutions = read_weights(onnx)
    picture = noise(40, 50, 3)[:, ::-1] if channels == 3 else noise(40, 50)[:, ::-1]
    shape = (64, 96, channels)
    network = build(convolutions, *shape, ranges=RANGES if quantized else None)
    used, fresh = (Network(network, shape, threads=1) for _ in range(2))
    used.run(noise(64, 96, 3) if channels == 3 else noise(64, 96))
    for ours, expected in zip(used.run(picture), fresh.run(np.ascontiguousarray(picture)), strict=True):
        np.testing.assert_array_equal(ours, expected)
