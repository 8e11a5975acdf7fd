"""Pages, charts and Markdown from recorded runs."""
