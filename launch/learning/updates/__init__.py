"""What is done with gradients before the optimiser gets them."""
