"""Evaluation: benchmarks in, lines and a report with error bars out.

readers/ -> protocol        annotation files as records, and how a benchmark asks and scores
plan -> videos -> sharing   which replica answers what, clips decoded ahead, prompts read once
predictions, run            one line per answer, and how a run goes on after a kill
scoring                     from a reply to a score
statistics, summary, report/  what the lines say, with intervals, as numbers and as a page
"""
