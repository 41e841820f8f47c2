"""The playground of the Gaussian: its one file, its links and its files."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from applications.gaussian import playground
from applications.gaussian.__main__ import main
from applications.gaussian.gaussian import START, make_baseline, make_objective, make_rate, update
from applications.gaussian.playground import CELLS, SOURCE, PlaygroundError, build, picture_text
from applications.gaussian.plot import MOST_DRAWS
from applications.gaussian.rewards import LIMIT, REGIONS, find_reward
from tests.applications.gaussian.browser import OpenPage, needs_browser


def state_of(page):
    return page.numbers()["state"]


# ---------------------------------------------------------------- one file


def test_the_page_is_one_small_file():
    page = build()
    assert len(page.encode()) < 180_000
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    links = re.findall(r"<a target=\"_top\" href='([^']*)", page)  # followed only when clicked
    assert links == [
        "https://karpathy.github.io/2016/05/31/rl/",
        *("gaussian/", "theory/", "guide/", "."),
    ]
    assert len(re.findall(r"(?:src|href)='", page)) == len(links)
    code = page[page.index('<script type="module">') :]
    assert "import " not in code
    assert "/*" not in code
    assert re.findall(r"(?<!:)//.*", code) == []


def test_links_to_the_site_lead_to_its_pages():
    page = build()
    for name in ("gaussian", "theory", "guide", "index"):
        assert (SOURCE.parents[2] / "docs" / f"{name}.md").exists()
    assert '<span id="site" hidden>' in page  # elsewhere they would lead nowhere


@needs_browser
def test_links_to_the_site_are_seen_on_the_site(browser):
    tab = browser.new_page()
    tab.route("**/*", lambda route: route.fulfill(body=build(), content_type="text/html"))
    for address, seen in (("gaussian-playground.html", True), ("index.html", False)):
        tab.goto(f"https://docs.example/{address}")
        tab.wait_for_function("document.getElementById('figure-value').textContent")
        assert tab.locator("#site").is_visible() == seen
    tab.close()


def test_comments_and_indentation_go_and_strings_stay():
    source = 'const a = "// no"; // yes\n/** Yes. */\n  const b = `/* no */\n  no`;\n\n// yes\n'
    assert playground.folded(source) == 'const a = "// no";\nconst b = `/* no */\n  no`;\n'


def test_the_sources_agree_on_their_constants():
    reward = (SOURCE / "reward.js").read_text()
    assert f"export const LIMIT = {LIMIT};" in reward
    assert f"export const CELLS = {CELLS};" in reward
    assert f"LARGEST_SAMPLE = {MOST_DRAWS};" in (SOURCE / "state.js").read_text()
    regions = reward[reward.index("REGIONS = [") : reward.index("];", reward.index("REGIONS"))]
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", regions)]
    assert numbers == [entry for region in REGIONS for entry in region]


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (
            {
                "main.js": 'import { a } from "./other.js";\nconst b = a;',
                "other.js": "const b = 1;",
            },
            "main.js and other.js both define b: rename one of them",
        ),
        ({"main.js": 'import a from "./main.js";'}, "main.js has a line that cannot be folded"),
        ({"main.js": "export default 1;"}, "main.js has a line that cannot be folded"),
    ],
)
def test_sources_that_cannot_be_folded_are_refused(sources, message, tmp_path, monkeypatch):
    for name, text in sources.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(playground, "SOURCE", tmp_path)
    with pytest.raises(PlaygroundError, match=message):
        playground.script("main.js")


def test_a_page_without_its_marks_is_refused(tmp_path, monkeypatch):
    for file in SOURCE.iterdir():
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "index.html").write_text("<body>")
    monkeypatch.setattr(playground, "SOURCE", tmp_path)
    with pytest.raises(PlaygroundError, match=r"index.html has 0 times <link rel"):
        build()


def test_the_example_learns(capsys):
    """Twenty lines: they end in the disc, far from where they start, whatever the seed."""
    exec((SOURCE / "example.py").read_text(), {})
    x, y = (float(number) for number in re.findall(r"-?\d\.\d+", capsys.readouterr().out))
    assert np.hypot(x + 1.2, y + 0.8) < 0.5
    assert len((SOURCE / "example.py").read_text().splitlines()) < 30


# ---------------------------------------------------------------- links


@needs_browser
@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("samples=0", "samples: “0” is not a number from 1 to 500; the default is used"),
        ("samples=2.5", "samples: 2.5 is not a whole number"),
        ("mean=1", "mean: 1 numbers, not 2"),
        ("mean=1,far", "mean: “far” is not a number"),
        ("factor=1,0,-1", "cannot be drawn: the diagonal of the factor must be positive"),
        ("factor=1,20,1e-5", "cannot be drawn: the covariance has collapsed"),  # and nothing hangs
        ("factor=1e-200,0,1e-200", "cannot be drawn: it is not finite"),
        ("reward=square", "reward: “square” is not one of regions, ring, hills, checkerboard"),
        ("reward=picture:AAAA", "the painted reward in this link is damaged"),
        ("reward=picture:%25", "the painted reward in this link is damaged"),
        ("draws=1,2,3", "draws: 3 numbers are not 1 to 500 draws of 2"),
        ("draws=", "draws: there are none"),
        ("tab=moves&draws=7", "draws: a move is one of 0, 1, 2, 3, 4"),
        ("samples=1&baseline=leave-one-out", "leave-one-out needs at least 2 samples"),
        ("covariance=true", "covariance: “true” is not one of 0, 1; the default is used"),
        ("covariance=7", "covariance: “7” is not one of 0, 1"),
        ("question=nope", "question: “nope” is not one of log, reversed"),
        ("colour=red", "this page has no setting “colour”"),
        ("constructor=1", "this page has no setting “constructor”"),
    ],
)
def test_a_link_that_is_wrong_says_how(state, message, open_page):
    page = open_page(state)
    assert message in page.text("#error")
    assert len(page.numbers()["draws"]) > 0
    page.paste("")
    assert not page.tab.locator("#error").is_visible()


@needs_browser
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("draws.txt", b"1,2,x", "draws.txt: “x” is not a number"),
        ("draws.csv", b"1,2\n3,4\n5\n", "draws.csv: row 3 has 1 number, not 2"),
        ("draws.txt", b"1 2 3", "draws.txt: draws: 3 numbers are not 1 to 500 draws of 2"),
        ("draws.txt", b"1 2\n" * 501, "1002 numbers are not 1 to 500 draws of 2"),
        ("draws.txt", b"", "draws.txt: there are no draws in it"),
        ("draws.json", b'{"draws": 3}', "draws.json: there are no draws in it"),
        ("draws.json", b'{"draws": [1', "draws.json:"),
        ("draws.json", b'{"draws": [null, 1, 2]}', "“null” is not a number"),
        ("a.json", b'{"draws": [1, 2], "state": {"tab": "nope"}}', "tab: “nope” is not one of"),
        ("a.json", b'{"draws": [1, 2], "state": {"question": "no"}}', "“no” is not one of log,"),
        ("a.json", b'{"draws": [1, 2], "state": {"mean": "abc"}}', "mean: “abc” is not a number"),
        ("a.json", b'{"draws": [1, 2], "state": {"reward": 5}}', "reward: “5” is not one of"),
        ("a.json", b'{"draws": [1, 2], "state": {"logits": [1]}}', "logits: 1 numbers, not 5"),
    ],
)
def test_a_file_that_is_wrong_says_how(name, content, message, open_page, tmp_path):
    page = open_page("draws=1,2,3,4")
    (tmp_path / name).write_bytes(content)
    page.tab.set_input_files("#draws-file", tmp_path / name)
    page.tab.wait_for_selector("#error:not([hidden])")
    assert message in page.text("#error")
    assert page.numbers()["draws"] == [1, 2, 3, 4]


@needs_browser
def test_a_page_of_make_gaussian_can_be_left(open_page, browser, tmp_path):
    """It opens with what it was made with, Reset leads back there, and a link away from it."""
    own = "picture:" + picture_text([0] * 20_000 + [255] * 20_000)
    made = f"samples=500&baseline=moving-average&reward={own}"
    (tmp_path / "index.html").write_text(build(made))
    context = browser.new_context()
    page = OpenPage(context, (tmp_path / "index.html").as_uri()).open()
    assert state_of(page)["samples"] == 500
    page.open("tab=gaussian")
    state = state_of(page)
    assert (state["samples"], state["baseline"], state["reward"]) == (80, "none", "regions")
    page.tab.select_option("#reward", "picture")
    assert state_of(page)["reward"] == own
    page.tab.select_option("#reward", "ring")
    page.act("reset")
    state = state_of(page)
    assert (state["samples"], state["baseline"]) == (500, "moving-average")
    assert state["reward"] == own
    page.check()
    context.close()


@needs_browser
def test_a_broken_image_is_refused_by_name(open_page, tmp_path):
    page = open_page()
    (tmp_path / "broken.png").write_bytes(b"no image")
    page.tab.set_input_files("#picture-file", tmp_path / "broken.png")
    page.tab.wait_for_selector("#error:not([hidden])")
    assert page.text("#error") == "broken.png is not an image that this browser can read"
    assert state_of(page)["reward"] == "regions"

    # Half an image is one that the browser would show.
    noise = Image.effect_noise((64, 64), 90)
    for name in ("half.png", "half.jpg"):
        noise.save(tmp_path / name)
        page.tab.set_input_files("#picture-file", tmp_path / name)
        page.tab.wait_for_function("document.getElementById('error').hidden")
        page.tab.wait_for_function("location.hash.includes('picture')")
        page.act("undo")
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-900])
        page.tab.set_input_files("#picture-file", tmp_path / name)
        page.tab.wait_for_selector("#error:not([hidden])")
        assert page.text("#error").startswith(f"{name} is cut off")
        assert state_of(page)["reward"] == "regions"
        page.tab.wait_for_function("!location.hash.includes('picture')")


@needs_browser
@pytest.mark.parametrize(("kind", "grey"), [("png", 0), ("png", 40), ("svg", 0)])
def test_ink_on_nothing_is_a_reward(kind, grey, open_page, tmp_path):
    """A dark drawing whose ground is transparent, as pixels or as SVG; `make gaussian` agrees."""
    ink = Image.new("RGBA", (CELLS, CELLS), (0, 0, 0, 0))
    ink.paste((grey, grey, grey, 255), (0, 0, CELLS // 2, CELLS))
    ink.save(tmp_path / "ink.png")
    (tmp_path / "ink.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8">'
        '<rect width="4" height="8"/></svg>'
    )
    page = open_page()
    page.tab.set_input_files("#picture-file", tmp_path / f"ink.{kind}")
    page.tab.wait_for_function("location.hash.includes('picture')")
    with Image.open(page.download("save-picture")) as picture:
        levels = [picture.getpixel((column, 100))[0] for column in (50, 150)]
    assert levels == [255, 0]
    points = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    assert find_reward(str(tmp_path / "ink.png"))(points).tolist() == [1, -1]


@needs_browser
def test_a_picture_of_one_brightness_is_refused(open_page, tmp_path):
    page = open_page()
    Image.new("L", (4, 4), 90).save(tmp_path / "grey.png")
    page.tab.set_input_files("#picture-file", tmp_path / "grey.png")
    page.tab.wait_for_selector("#error:not([hidden])")
    assert "grey.png is equally bright all over" in page.text("#error")
    assert state_of(page)["reward"] == "regions"


@needs_browser
def test_a_link_too_long_to_travel_is_warned_about(open_page, tmp_path):
    page = open_page()
    noise = np.random.default_rng(0).integers(0, 256, (CELLS, CELLS)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    page.tab.set_input_files("#picture-file", tmp_path / "noise.png")
    page.tab.wait_for_selector("#notice:not([hidden])")
    assert "use “Save reward” and send the picture instead" in page.text("#notice")
    page.tab.click("#notice button")
    page.act("copy")
    page.tab.wait_for_selector("#notice:not([hidden])")
    assert "The part after # is what travels" in page.text("#notice")


@needs_browser
def test_back_leads_to_the_question_before(open_page):
    page = open_page()
    page.tab.click("text=Why so many samples?")
    page.settle()
    page.tab.wait_for_timeout(500)
    page.tab.click("text=What is the fake label?")
    page.settle()
    assert state_of(page)["tab"] == "moves"
    page.tab.go_back()
    page.settle()
    assert state_of(page)["samples"] == 5
    assert page.tab.locator("[data-question=samples]").is_visible()


@needs_browser
@pytest.mark.parametrize("option", [[], ["--reward", "photo.png", "--baseline", "constant"]])
def test_make_gaussian_writes_the_page_of_its_own_step(option, browser, tmp_path, monkeypatch):
    """The draws, the step and the settings of the three panels, and the reward of `--reward`."""
    monkeypatch.chdir(tmp_path)
    ramp = np.tile(np.linspace(0, 255, CELLS).round().astype(np.uint8), (CELLS, 1))
    Image.fromarray(ramp).save("photo.png")
    small = ["--replications", "2", "--steps", "1", "--frames", "1", "--format", "png"]
    options = ["--samples", "30", "--seed", "3", "--covariance", "--learning-rate", "0.5"]
    assert main(["plot", "--output", "out", *options, *small, *option]) == 0
    reward = find_reward(option[1] if option else None)
    baseline = option[3] if option else "none"
    torch.manual_seed(3)
    objective = make_objective(reward, make_baseline(baseline, reward), 30)
    step = update(START, objective, make_rate(0.5, reward))
    context = browser.new_context()
    page = OpenPage(context, (tmp_path / "out" / "index.html").as_uri())
    numbers = page.open().numbers()
    assert numbers["draws"] == step.points.flatten().tolist()
    if option:  # a picture is the same reward on the page; regions may differ at their edges
        assert numbers["rewards"] == pytest.approx(step.rewards.tolist(), abs=1e-9)
        assert numbers["after"]["mean"] == pytest.approx(step.after.mean.tolist(), abs=1e-9)
        factor = step.after.factor[[0, 1, 1], [0, 0, 1]].tolist()
        assert numbers["after"]["factor"] == pytest.approx(factor, abs=1e-9)
    state = numbers["state"]
    assert (state["seed"], state["baseline"], state["covariance"]) == (3, baseline, True)
    assert state["constant"] == reward.range[0]
    exact = json.loads((tmp_path / "out" / "baselines.json").read_text())["exact_gradient"]
    assert numbers["exact_gradient"] == pytest.approx(exact, abs=2e-3)
    page.check()
    context.close()


def test_pictures_are_runs_of_levels():
    assert picture_text([0] * 300 + [255]) == "_wAtAAH_"
