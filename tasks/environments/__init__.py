"""Worlds that a network acts in; see `tasks.environment`."""
