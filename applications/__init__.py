"""Applications of sfgrad, built on its public names only; `runs` is what their trainings share."""
