"""The harness measures itself: the generator's ceiling, the verdict's error rates."""
