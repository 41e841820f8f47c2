"""Reading films back."""

import imageio.v2 as imageio


def read_film(path):
    """The frames of a film."""
    with imageio.get_reader(path) as reader:
        # list() would ask for the length, which a film's reader calls infinite
        return [frame for frame in reader]  # noqa: C416
