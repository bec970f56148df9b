"""The outputs of an answer: text, trace, plot, warnings."""
