"""Search beyond one machine: an sharded index, built in parallel and served by replicas."""
