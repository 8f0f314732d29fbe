"""The zoo's networks, narrow enough to train in seconds: options that replace those of a shipped recipe."""

from __future__ import annotations

from typing import Any

NARROW: dict[str, dict[str, Any]] = {
    "fully_connected": {},
    "shallow_cnn": {"convolutions": [[8, 3], [8, 5]], "dense": [32]},
    "deep_cnn": {"convolutions": [[8, 3], [8, 5], [16, 3], [16, 3]], "dense": [16, 32]},
    "deeper_cnn": {"convolutions": [[8, 3], [8, 5], [16, 3], [16, 3], [32, 3]], "dense": [16, 32]},
    "attentional_cnn": {"l2": 0.0001},
    "hog_cnn": {"convolutions": [[8, 3], [8, 3], [16, 3]], "dense": [32]},
    "vgg_alexnet": {"convolutions": [[8, 3], [8, 3], [16, 3], [16, 3], [32, 3]], "dense": [32, 16]},
    "mini_xception": {"filters": [8, 8, 16, 16]},
    "mini_labels": {"stem": [4, 8], "filters": [8, 8, 16, 16]},
    "plus_labels": {"filters": [8, 8, 16, 16]},
    "vgg19_bn": {"filters": [4, 8, 8, 16, 32], "dense": 32},
}
"""By recipe."""


def without_dropout(architecture: str) -> dict[str, Any]:
    """Options for learning by heart: nothing left out, and running statistics that follow at once."""
    off: dict[str, Any] = {} if architecture == "mini_xception" else {"dropout": 0.0}
    if architecture in ("plain_cnn", "hog_cnn"):
        off["dense_dropout"] = 0.0
    if architecture != "attentional_cnn":
        off["batch_norm_momentum"] = 0.7
    return off
