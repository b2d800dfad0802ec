"""Repeats experiments of the papers."""
