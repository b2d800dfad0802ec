"""Worlds that a network acts in, one a file or folder."""
