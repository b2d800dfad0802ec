"""What programs print of a run at their end."""
