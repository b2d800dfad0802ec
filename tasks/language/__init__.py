"""Tasks on English words."""
