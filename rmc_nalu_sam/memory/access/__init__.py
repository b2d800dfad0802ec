"""Steps of one memory: what a core writes and reads, one core a file."""
