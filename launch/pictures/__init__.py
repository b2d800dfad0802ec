"""Draws PNG files from arrays; one kind of picture a module."""
