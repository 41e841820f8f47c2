r"""What the site has besides its Markdown: the playground, made from its sources.

`gaussian.md` has a picture of it, for where Markdown is read as it is; the site embeds the
playground itself there. The picture is made by

    chromium --headless --hide-scrollbars --window-size=1280,800 --virtual-time-budget=3000 \
        --screenshot=docs/pictures/gaussian-playground.png "file://$PWD/site/gaussian-playground.html\
    #stage=weighted&samples=60&seed=3&baseline=leave-one-out&question=baseline"
"""

import re

from mkdocs.structure.files import File

from applications.gaussian.playground import build

PLAYGROUND = "gaussian-playground.html"
PICTURE = re.compile(r"!\[([^\]]*)\]\(pictures/gaussian-playground\.png\)")
FRAME = (
    rf'<iframe src="../{PLAYGROUND}" title="\1" loading="lazy" '
    'style="width: 100%; height: 56rem; border: 1px solid #8884; border-radius: .3rem"></iframe>'
)


def on_files(files, config):
    """Add the page to the site."""
    files.append(File.generated(config, PLAYGROUND, content=build()))
    return files


def on_page_markdown(markdown, page, config, files):
    """Embed the page in place of its picture."""
    return PICTURE.sub(FRAME, markdown)
