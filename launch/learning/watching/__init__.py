"""What is watched while updates run: their time, and compilations."""
