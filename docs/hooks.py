"""What the site has besides its Markdown: the page to play with, made from its sources."""

from mkdocs.structure.files import File

from applications.gaussian.page import build

PAGE = "gaussian-page.html"


def on_files(files, config):
    """Add the page, under the name by which `gaussian.md` embeds it."""
    files.append(File.generated(config, PAGE, content=build()))
    return files
