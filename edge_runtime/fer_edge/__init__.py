"""Facial expression recognition at the edge: frames -> faces -> expressions -> events."""

__version__ = "0.1.0"
