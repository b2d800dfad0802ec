"""Readers and caches that several tasks with data files share."""
