"""The score-function estimator in a picture: a Gaussian that learns where the reward is high.

Samples are drawn, each is given a reward, and the Gaussian moves towards the good ones and away
from the bad ones. Nothing is ever differentiated but the log-density: the reward may jump.
"""
