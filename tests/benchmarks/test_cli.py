import subprocess
import sys

import pytest
from click.testing import CliRunner

from fer_bench import cli

COMMANDS = sorted(cli.main.commands)


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_and_fits_a_screen(command):
    shown = run(command, "--help").output
    assert f"\n  fer-bench {command}" in shown
    assert len(shown.splitlines()) <= 24
    assert max(map(len, shown.splitlines())) <= 90


def test_help_loads_neither_opencv_nor_a_runtime():
    code = (
        "import sys; from click.testing import CliRunner; from fer_bench.cli import main; "
        "assert CliRunner().invoke(main, ['accuracy', '--help']).exit_code == 0; "
        "print([m for m in ('cv2', 'ai_edge_litert', 'tensorflow', 'keras') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_measuring_accuracy_needs_no_tensorflow(data, model):
    code = (
        "import sys; from fer_bench.cli import main; "
        f"main(['accuracy', '--data', {str(data)!r}, '--model', {str(model)!r}], standalone_mode=False); "
        "assert not {'tensorflow', 'keras'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_bad_input_is_one_sentence_and_the_right_exit_code(data, model, clip, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(model.read_bytes()[:-100])
    cases = [
        (1, ["accuracy", "--data", tmp_path / "absent.csv", "--model", model], "absent.csv"),
        (1, ["accuracy", "--data", data, "--split", "Test", "--model", model], "PublicTest (14)"),
        (1, ["accuracy", "--data", data, "--model", tmp_path / "absent.tflite"], "absent.tflite"),
        (1, ["accuracy", "--data", data, "--model", broken], "broken.tflite"),
        (2, ["accuracy", "--data", data, "--model", model, "--json", tmp_path / "no" / "x.json"], "--json"),
        (2, ["latency", "--model", model, "--threads", "0"], "--threads 0"),
        (2, ["latency", "--model", model, "--threads", "1,,2"], "--threads 1,,2"),
        (2, ["latency", "--model", model, "--threads", "2,2"], "--threads 2,2"),
        (2, ["pipeline", tmp_path / "absent.mkv", "--model", model], "absent.mkv"),
        (1, ["pipeline", data, "--model", model, "--detector", "haar", "--repeat", "1"], "fer2013.csv"),
        (78, ["pipeline", clip, "--model", model, "--config", tmp_path / "absent.toml"], "absent.toml"),
        (2, ["readme", tmp_path / "absent.md"], "absent.md"),
    ]
    for code, arguments, said in cases:
        done = run(*arguments)
        last = done.output.strip().splitlines()[-1]
        assert done.exit_code == code, (arguments, done.output)
        assert said in last, (arguments, last)
        assert last.startswith("main: ")


def test_a_missing_required_flag_is_a_usage_error():
    assert run("accuracy").exit_code == 2
    assert run("pipeline").exit_code == 2
    assert run("nonsense").exit_code == 2


def test_environment_prints_json_without_folders():
    shown = run("environment").output
    assert '"cpu"' in shown
    assert '"fer-bench environment"' in shown
