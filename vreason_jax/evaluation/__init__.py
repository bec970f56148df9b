"""Evaluation: benchmarks in, lines and a report with error bars out.

readers/ -> protocol        annotation files as records, and how a benchmark asks and scores
plan -> videos -> sharing   which replica answers what, clips decoded ahead, prompts read once
predictions, run            one line per answer, and how a run goes on after a kill
scoring                     from a reply to a score
lines -> runs -> scores     what a run left behind, and its answers by question and seed
statistics -> summary       what they say, with intervals; curves does so for their traces
report/                     the same as a page
"""
