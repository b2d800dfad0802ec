"""Indices: how a sparse core finds the words most similar to a query."""
