"""Texts as streams of words, characters, bytes or parts of words."""
