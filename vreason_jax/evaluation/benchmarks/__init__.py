"""Each benchmark's annotation as records, and where its videos lie.

rows, fields      a file's rows with their places; checks of what stands in them
layout            what each benchmark's module says of itself
video_r1          the schema that all benchmarks share in Video-R1's files
"""
