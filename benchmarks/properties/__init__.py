"""One property of one estimator in each file, named as its page in docs/estimators/."""
