"""Trained networks: those of runs, and how a run starts from one."""
