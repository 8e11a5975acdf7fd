"""A regression job builds two commits, and measures them side by side."""
