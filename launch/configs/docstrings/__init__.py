"""How docstrings are printed."""
