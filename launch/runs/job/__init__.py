"""What a run costs: its time, the memory of its devices, a trace of updates."""
