"""Bridges between environments of this package and of other libraries."""
