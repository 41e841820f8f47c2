r"""What the site has besides its Markdown: formulas as MathML, and the playground.

`gaussian.md` has a picture of it, for where Markdown is read as it is; the site embeds the
playground itself there. The picture is made by

    chromium --headless --hide-scrollbars --window-size=1280,800 --virtual-time-budget=3000 \
        --screenshot=docs/pictures/gaussian-playground.png "file://$PWD/site/gaussian-playground.html\
    #stage=weighted&samples=60&seed=3&baseline=leave-one-out&question=baseline"
"""

import re

from latex2mathml.converter import convert
from mkdocs.structure.files import File

from applications.gaussian.playground import build

PLAYGROUND = "gaussian-playground.html"
PICTURE = re.compile(r"!\[([^\]]*)\]\(pictures/gaussian-playground\.png\)")
FORMULA = re.compile(
    r"(?P<code>^```.*?^```|`[^`\n]+`)|\$\$\n(?P<block>.+?)\n\$\$|\$(?P<inline>[^$\n]+)\$",
    re.M | re.S,
)
FRAME = (
    rf'<iframe src="../{PLAYGROUND}" title="\1" loading="lazy" '
    'style="width: 100%; height: 56rem; border: 1px solid #8884; border-radius: .3rem"></iframe>'
)


def on_files(files, config):
    """Add the page to the site."""
    files.append(File.generated(config, PLAYGROUND, content=build()))
    return files


def on_page_markdown(markdown, page, config, files):
    """Embed the page in place of its picture, and typeset formulas."""
    return FORMULA.sub(_formula, PICTURE.sub(FRAME, markdown))


def _formula(match):
    """MathML in place of a formula; code stays as it is."""
    if match["code"]:
        return match["code"]
    if match["block"]:
        return f'<div class="formula">{convert(match["block"], display="block")}</div>'
    return (
        f"<span>{convert(match['inline'])}</span>"  # a line that began with <math> would end here
    )
