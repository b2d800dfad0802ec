"""One-shot classification of handwritten characters."""
