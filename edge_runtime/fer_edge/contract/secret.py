"""Passwords and tokens: from a file, a systemd credential or a variable, never from a command line."""

from __future__ import annotations

import os
from pathlib import Path

from fer_edge.contract.errors import ConfigError

MAX_BYTES = 65_536
"""A file over this holds no password."""


def read_secret(name: str) -> str | None:
    """The secret called `name`, or None where nobody gave one.

    The first of these counts: the file that `FER_EDGE_<NAME>_FILE` names; the file `<name>` in the folder
    `CREDENTIALS_DIRECTORY` (systemd's LoadCredential=, systemd.exec(5)); the variable `FER_EDGE_<NAME>`.

    Args:
        name: in lower case with underscores, as `mqtt_password`.

    Raises:
        ConfigError: the file cannot be read or is no text; the message does not show what is in it.
    """
    variable = f"FER_EDGE_{name.upper()}"
    given = os.environ.get(f"{variable}_FILE")
    if given:
        return _read(Path(given), f"{variable}_FILE")
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and (Path(credentials) / name).exists():
        return _read(Path(credentials) / name, "CREDENTIALS_DIRECTORY")
    return os.environ.get(variable) or None


def _read(path: Path, variable: str) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ConfigError(f"the file {path} of {variable} is too large for a secret; give one of a single line")
        return content.decode().rstrip("\r\n")
    except OSError as error:
        raise ConfigError(f"the file {path} of {variable} cannot be read ({error.strerror}); check its path") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the file {path} of {variable} is not UTF-8; write the secret as plain text") from error
