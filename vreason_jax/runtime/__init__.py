"""The runtime of the model: weights, device mesh, compilation, several hosts, memory."""
