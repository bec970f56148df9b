"""From prepared questions to answers: read once, start runs, decode."""
