"""Text, trace, plot, warnings: what a finished answer leaves behind."""
