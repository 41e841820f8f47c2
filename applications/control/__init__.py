"""Classic control: what to try beside and before the policy gradient, each method a page."""
