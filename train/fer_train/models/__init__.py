"""Network architectures, one file each, by the name a recipe gives."""

from __future__ import annotations

import contextlib
import difflib
import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras

from fer_edge.contract.errors import DataError, FerError, UsageError
from fer_train.models.attentional_cnn import attentional_cnn
from fer_train.models.hog_cnn import hog_cnn
from fer_train.models.mini_xception import mini_xception
from fer_train.models.plain_cnn import plain_cnn
from fer_train.models.residual_vgg import residual_vgg
from fer_train.models.vgg19_bn import vgg19_bn

ARCHITECTURES: dict[str, Callable[..., keras.Model]] = {
    "attentional_cnn": attentional_cnn,
    "hog_cnn": hog_cnn,
    "mini_xception": mini_xception,
    "plain_cnn": plain_cnn,
    "residual_vgg": residual_vgg,
    "vgg19_bn": vgg19_bn,
}


def build(architecture: str, **options: Any) -> keras.Model:
    """Build the network called `architecture`.

    Raises:
        UsageError: no architecture has that name, or it has no such option or value.
    """
    if architecture not in ARCHITECTURES:
        raise UsageError(f"architecture {architecture!r} is unknown; there is {', '.join(sorted(ARCHITECTURES))}")
    function = ARCHITECTURES[architecture]
    known = inspect.signature(function).parameters
    for key in options:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; it has {', '.join(known)}"
            raise UsageError(f"architecture {architecture} has no option {key!r}{hint}")
    try:
        return function(**options)
    except FerError:
        raise  # a sentence already
    except (TypeError, ValueError) as error:
        raise UsageError(f"architecture {architecture} cannot be built with {options} ({error})") from error


def load(path: Path) -> keras.Model:
    """Read a network from a `.keras` file, for inference: all of it in float32, however it was trained.

    Raises:
        DataError: the file is missing or damaged.
    """
    return in_float32(load_as_trained(path))


def load_as_trained(path: Path) -> keras.Model:
    """Read a network from a `.keras` file, for inference in the precision it was trained in.

    Raises:
        DataError: the file is missing or damaged.
    """
    with _damage_named(path):
        return keras.saving.load_model(path, compile=False)


def in_float32(model: keras.Model) -> keras.Model:
    """The same network computing in float32 throughout; the model itself where it does so already."""
    if all(layer.dtype_policy.name == "float32" for layer in model.layers):
        return model
    plain = type(model).from_config(_in_float32(model.get_config()))
    plain.set_weights(model.get_weights())
    return plain


def _in_float32(config: Any) -> Any:
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return {**config, "config": {"name": "float32"}}
        return {key: _in_float32(value) for key, value in config.items()}
    return [_in_float32(value) for value in config] if isinstance(config, list | tuple) else config


def restore(model: keras.Model, path: Path) -> None:
    """Set the weights of `model` and the state of its built optimizer to those in a `.keras` file.

    Raises:
        DataError: the file is missing, damaged, or of another network.
    """
    with _damage_named(path):
        model.load_weights(path)


def start(model: keras.Model, path: Path, columns: Sequence[int | None] | None = None) -> None:
    """Set the weights of `model` to those of the network in a `.keras` file.

    Args:
        model: of the same architecture.
        path: the file.
        columns: for each output of `model` the one of the other network that means the same, None where it has none
            and the last layer's weights stay as they are; left out where both have the same outputs.

    Raises:
        DataError: the file is missing, damaged, or of another network.
    """
    with _damage_named(path):
        given = keras.saving.load_model(path, compile=False).get_weights()
        if columns is not None:
            known = [number for number, column in enumerate(columns) if column is not None]
            taken = [column for column in columns if column is not None]
            last = next(len(layer.weights) for layer in reversed(model.layers) if layer.weights)
            fresh = model.get_weights()[-last:]
            for new, old in zip(fresh, given[-last:], strict=True):
                new[..., known] = old[..., taken]
            given[-last:] = fresh
        model.set_weights(given)


@contextlib.contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    # Keras raises whatever the damage leads it to.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} cannot be read as a Keras model ({reason}); copy it again or train anew") from error
