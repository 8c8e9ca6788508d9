"""Search beyond one machine: a sharded index, built in parallel and served by replicas."""
