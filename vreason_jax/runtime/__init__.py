"""What runs around the model: weights, device mesh, compilation, several hosts, memory."""
