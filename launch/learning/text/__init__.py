"""What only a text needs: windows, sampling, other ways to score it."""
