"""Applications of sfgrad, built on its public names only; `kit` is what they share."""
