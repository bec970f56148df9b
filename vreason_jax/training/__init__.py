"""Training of small checkpoints on the videos of `shapes`.

config -> plan -> batches      which samples, in which order, as arrays (a process of their own)
initial, optimizer, loss, step what a step does; snapshots: how it goes on after a kill
validation, folder, loop       greedy accuracy, the checkpoint in HF layout, all of it together
"""
