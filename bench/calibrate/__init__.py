"""The harness measured itself: the generator's ceiling, the verdict's error rates."""
