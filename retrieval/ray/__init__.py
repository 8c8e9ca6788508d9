"""Search beyond one machine: an index in pieces, built in parallel and served by replicas."""
