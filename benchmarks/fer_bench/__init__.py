"""Measure what recognition costs and how often it is right: `fer-bench`."""
