"""Algorithmic tasks on random vectors."""
