"""The recipes, by name; the first is the default."""

from applications.pong import blog, cross_entropy, fast

RECIPES = {"fast": fast, "blog": blog, "cross-entropy": cross_entropy}
KINDS = {name: recipe.Config for name, recipe in RECIPES.items()}
