"""Evaluation of short random programs."""
