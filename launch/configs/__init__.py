"""Configurations: defaults, presets and flags; names turn into objects here."""
