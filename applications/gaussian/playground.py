"""The playground, a page: the HTML, style and scripts in `web/`, folded into one file.

A browser refuses to import one script from another on a page that was opened from the disk, so the
modules become a single script, each after those that it imports. Comments stay in the sources.
"""

import base64
import html
import re
import tomllib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from urllib.parse import urlencode

CELLS = 200
"""Cells along each side of the picture that a reward is; `CELLS` of `web/reward.js`."""
SOURCE = Path(__file__).parent / "web"
IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.-]+)";\n', re.M)
"""The one form of import that the modules use: names, in braces, from a neighbour."""
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) )", re.M)
DEFINITION = re.compile(r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+)", re.M)
CLOSE = '<button data-action="close-answer" aria-label="Close the answer"></button>'
REPEATS = re.compile(r"^export const REPEATS = (\d+);", re.M)
KEPT = r"""(?P<kept>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)"""
"""A string, which stays as it is."""
COMMENT = re.compile(KEPT + r"|[ \t]*//[^\n]*|[ \t]*/\*.*?\*/", re.S)
"""A string, or a comment with the blanks before it."""
INDENT = re.compile(KEPT + r"|\n\s+")
"""A string, or the blanks at the beginning of a line, with empty lines before it."""


class PlaygroundError(Exception):
    """The sources cannot be folded into one file."""


def modules(name: str, known: dict[str, str] | None = None) -> dict[str, str]:
    """The source of a module and of all that it imports, each after what it imports."""
    known = {} if known is None else known
    text = (SOURCE / name).read_text(encoding="utf-8")
    for module in IMPORT.findall(text):
        if module not in known:
            modules(module, known)
    known[name] = text
    return known


def folded(text: str) -> str:
    """JavaScript or CSS without comments, indentation and empty lines."""
    bare = COMMENT.sub(lambda match: match["kept"] or "", text)
    return INDENT.sub(lambda match: match["kept"] or "\n", bare).strip() + "\n"


def script(name: str) -> str:
    """A module and all that it imports as one script, without imports, exports and comments.

    Raises:
        PlaygroundError: two modules define the same name, or use another form of import or export.
    """
    homes: dict[str, str] = {}
    parts = []
    for module, text in modules(name).items():
        for definition in DEFINITION.findall(text):
            if definition in homes:
                raise PlaygroundError(
                    f"{module} and {homes[definition]} both define {definition}: rename one of them"
                )
            homes[definition] = module
        body = EXPORT.sub("", IMPORT.sub("", text)).strip()
        if line := re.search(r"^(import|export)\b.*", body, re.M):
            raise PlaygroundError(f"{module} has a line that cannot be folded: {line[0]}")
        parts.append(folded(body))
    return "\n".join(parts)


def questions() -> str:
    """The questions, their answers, and the links that set the page up for them."""
    items = []
    for question in tomllib.loads((SOURCE / "questions.toml").read_text("utf-8"))["question"]:
        links = {
            label: html.escape(
                "#"
                + "&".join(filter(None, [f"question={question['name']}", question["shared"], own]))
            )
            for label, own in question["choices"]
        }
        choices = "\n".join(f'<a href="{link}">{label}</a>' for label, link in links.items())
        items.append(
            f'<li><a href="{links[question["opens"]]}">{question["title"]}</a>\n'
            f'<div class="answer" hidden data-question="{question["name"]}">\n'
            f"<p>{question['answer'].strip()}</p>\n<p>{choices}</p>\n{CLOSE}</div></li>"
        )
    return "<ol>\n" + "\n".join(items) + "\n</ol>"


def build(state: str = "") -> str:
    """The page, in one file that needs no network.

    Args:
        state: what it opens with, as text after the # of its address; empty for the defaults.
    """
    sources = {
        name: (SOURCE / name).read_text(encoding="utf-8")
        for name in ("index.html", "style.css", "example.py", "derivation.html", "study.js")
    }
    repeats = REPEATS.search(sources["study.js"])
    if repeats is None:
        raise PlaygroundError("study.js does not say how many REPEATS there are")
    for name in ("index.html", "derivation.html"):
        sources[name] = re.sub(r"\n\s+", "\n", sources[name])
    page = sources["index.html"].replace("{{repeats}}", repeats[1])
    parts = {
        '<link rel="stylesheet" href="style.css">': (
            f"<style>\n{folded(sources['style.css'])}</style>"
        ),
        '<script type="module" src="main.js"></script>': (
            f'<script type="module">\n{script("main.js")}</script>'
        ),
        "<!-- derivation.html -->": sources["derivation.html"],
        "<!-- questions.toml -->": questions(),
        "<!-- example.py -->": html.escape(sources["example.py"].strip(), quote=False),
        "<body>": f'<body data-state="{html.escape(state)}">',
    }
    for mark, part in parts.items():
        if page.count(mark) != 1:
            raise PlaygroundError(
                f"index.html has {page.count(mark)} times {mark}: it must have it once"
            )
        page = page.replace(mark, part)
    return page


def picture_text(levels: Sequence[int]) -> str:
    """Grey levels as the page's links have them: runs of (length, level) in URL-safe base 64.

    Args:
        levels: `CELLS²`, row by row from the top, 0 to 255.
    """
    runs = bytearray()
    for level, group in groupby(levels):
        length = len(list(group))
        for start in range(0, length, 255):
            runs += bytes([min(length - start, 255), level])
    return base64.urlsafe_b64encode(runs).decode().rstrip("=")


def state_text(**fields: object) -> str:
    """A state of the page as the text after the # of its address; a sequence has commas."""
    texts = {
        name: ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        for name, value in fields.items()
    }
    return urlencode(texts, safe=",:")
