"""Counting and arithmetic on handwritten digits."""
