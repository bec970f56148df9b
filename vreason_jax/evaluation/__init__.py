"""Evaluation: benchmarks in, lines and a report with error bars out.

readers       a benchmark by its name: its folder in, its records out
benchmarks/   annotation files as records, and where their videos lie
scoring/      how a benchmark is asked, and from a reply to its score
running/      what is asked of which methods, in which batches, from start to last line
results/      what a run leaves in its folder, written and read back
statistics/   what the lines say, with their errors
report/       the same as a page
"""
