"""What programs show of their progress on stderr."""
