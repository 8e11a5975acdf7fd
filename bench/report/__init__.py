"""The report makes pages, charts and Markdown from recorded runs."""
