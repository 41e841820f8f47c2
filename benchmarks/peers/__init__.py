"""Other trainings of Pong, run by `benchmarks.pong_peers` in an environment of their own."""
