"""A network with a hard memory: it reads and writes at sampled addresses."""
