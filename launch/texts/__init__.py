"""Texts of a run: what its tokens mean, and how it continues one."""
