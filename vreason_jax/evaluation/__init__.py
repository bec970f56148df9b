"""Evaluation: benchmarks in, lines and a report with error bars out.

readers/ -> protocol        annotation files as records, and how a benchmark asks and scores
methods, identity -> setup  what is to be run, and the hash of all that can change an answer
controls                    what a run keeps from the model, to see what answers rest on
plan, videos -> batches     which copy answers what, clips decoded ahead, questions of one grid
sharing -> run              prompts read once, answered by every method and seed
comparison                  how far logits are from the first method's, on its replies
scoring -> writing          from a reply to a score and a line
predictions, run_file       whole lines, what is done already, and what a session took
questions                   what was asked, kept for the report and so that it stays the same
session -> launch           all of it as a command starts it
lines -> runs -> scores     what a run left behind, and its answers by question and seed
statistics -> summary       what they say, with intervals; curves does so for their traces
aggregate                   the groups and the figures that a benchmark's authors report
report/                     the same as a page
"""
