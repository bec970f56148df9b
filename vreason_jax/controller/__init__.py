"""V-Reason itself: pure functions on arrays that know nothing of the network.

Read in this order: entropy, switching, value_delta, controller, prune.
"""
