"""What programs do when a signal comes."""
