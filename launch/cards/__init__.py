"""Model cards: what a run is, learned and cost, on one page."""
