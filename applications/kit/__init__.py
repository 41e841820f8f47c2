"""What the applications share; it knows none of them."""
