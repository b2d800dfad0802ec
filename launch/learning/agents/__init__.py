"""Agents: networks that act in environments and learn from rewards."""
