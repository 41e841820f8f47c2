"""Each question's preset shows its answer: what the text claims holds for the figures beside it."""

import html
import re

import numpy as np
import pytest

from applications.gaussian.playground import build
from tests.applications.gaussian.browser import needs_browser

pytestmark = needs_browser

PAGE = build()
QUESTIONS = dict(
    re.findall(r'<li><a href="#question=(\w+)[^"]*">([^<]*)</a>\s*<div class="answer"', PAGE)
)
ANSWERS = "".join(re.findall(r'<div class="answer".*?</div>', PAGE, re.S))
LINKS, CHOICES = (
    {html.unescape(link) for link in re.findall(r'href="#([^"]+)"', text)}
    for text in (PAGE, ANSWERS)
)


@pytest.fixture
def follow(open_page):
    """The numbers after a click on a question, and on a link of its answer if one is named."""
    pages = []

    def click(question, link=None):
        page = pages[0] if pages else open_page()
        pages[:] = [page]
        page.tab.click(f"text={QUESTIONS[question]}")
        page.settle()
        answer = page.tab.locator(f"[data-question={question}]")
        assert answer.is_visible()
        assert page.tab.locator(".answer:visible").count() == 1
        if link:
            answer.get_by_role("link", name=link, exact=True).click()
            page.settle()
        return page.numbers()

    return click


def test_there_are_ten():
    assert len(QUESTIONS) == 10


def test_every_link_is_a_state_without_errors(open_page):
    page = open_page()
    for link in sorted(LINKS):
        page.paste(link)
        assert not page.tab.locator("#error").is_visible(), link
        if link in CHOICES:  # and the answer marks which of its links this is
            assert page.tab.locator('.answer:visible a[aria-current="true"]').count() == 1, link


def spread(numbers):
    return np.sqrt(numbers["cloud"]["total_variance"])


def distance(numbers):
    """From the mean of the cloud to the exact gradient, in standard errors of the mean."""
    off = np.linalg.norm(np.subtract(numbers["cloud"]["mean"], numbers["exact_gradient"]))
    return off / (spread(numbers) / np.sqrt(200))


def test_log_p(follow):
    """With ∇p the cloud is small, in the wrong place, and more samples do not help."""
    wrong, right, more = (follow("log", link) for link in (None, "With ∇ log p", "∇p, 500 samples"))
    assert spread(wrong) < spread(right) / 10
    assert distance(wrong) > 100
    assert distance(more) > 100
    assert distance(right) < 4


def test_reversed(follow):
    """An arrow times −1 is the same arrow the other way."""
    numbers = follow("reversed", "Times reward")
    arrows = np.array(numbers["weights"])[:, None] * np.reshape(numbers["scores"], (-1, 2))
    bad = np.array(numbers["rewards"]) == -1
    assert 0 < bad.sum() < len(bad)
    assert np.array_equal(arrows[bad], -np.reshape(numbers["scores"], (-1, 2))[bad])


def test_baseline(follow):
    """The same exact gradient, less noise; bad samples nearly stop pulling."""
    none = follow("baseline", "None")
    average = follow("baseline", "Moving average")["state"]["average"]
    assert follow("baseline", "All at once")["state"]["average"] == average
    for name in ("Constant −1", "Moving average", "Leave-one-out"):
        numbers = follow("baseline", name)
        assert numbers["expected_reward_after"] > none["expected_reward_after"]  # as it mostly is
        assert numbers["exact_gradient"] == none["exact_gradient"]
        assert numbers["cloud"]["worth"] > 1.3 * numbers["state"]["samples"]
        assert distance(numbers) < 4
    good = np.array(numbers["rewards"]) == 1
    weights = np.abs(numbers["weights"])
    assert good.sum() >= 2
    assert weights[~good].max() < weights[good].min() / 3


def test_samples(follow):
    """A hundred times the samples, a tenth of the spread."""
    few, some, many = (follow("samples", link) for link in ("5 samples", "50", "500"))
    angles = [np.arctan2(*np.array(n["estimate"])[::-1]) for n in (few, some, many)]
    off = np.abs(angles - np.arctan2(*np.array(few["exact_gradient"])[::-1]))
    assert off[0] > 2 * off[1] > 4 * off[2]
    assert few["expected_reward_after"] < few["expected_reward"]  # half of such steps lower it
    assert spread(few) / spread(many) == pytest.approx(10, rel=0.2)


@pytest.mark.parametrize("link", ["Checkerboard", "Smooth hills"])
def test_differentiable(link, follow):
    """A reward that is flat but for jumps has a gradient to follow, and the step rises."""
    numbers = follow("differentiable", link)
    assert np.linalg.norm(numbers["exact_gradient"]) > 0.1
    assert numbers["expected_reward_after"] > numbers["expected_reward"]


def test_positive(follow):
    """Adding 2 changes nothing but the noise, and leave-one-out takes that away again."""
    signs, positive, compared = (
        follow("positive", link)
        for link in ("Rewards −1 and 1", "1 and 3", "1 and 3, leave-one-out")
    )
    assert set(positive["rewards"]) == {1, 3}
    assert positive["exact_gradient"] == pytest.approx(signs["exact_gradient"], abs=1e-12)
    assert spread(positive) > 1.3 * spread(signs)
    assert spread(compared) < spread(signs)


def test_standardize(follow):
    """Ten times the rewards, ten times the step; but not when they are standardized."""
    ten, tens, ones = (
        follow("standardize", link) for link in ("±10", "±10, standardised", "±1, standardised")
    )
    plain = np.subtract(ten["after"]["mean"], ten["state"]["mean"])
    assert np.linalg.norm(plain) > 3.4
    assert tens["after"]["mean"] == pytest.approx(ones["after"]["mean"], rel=1e-6)
    assert tens["expected_reward_after"] > tens["expected_reward"]


def test_label(follow):
    """The score is the one-hot label of the move that was drawn, less the probabilities."""
    numbers = follow("label")
    logits = np.array(numbers["state"]["logits"])
    label = np.eye(5)[numbers["draws"][0]]
    assert numbers["scores"] == pytest.approx(label - np.exp(logits) / np.exp(logits).sum())
    assert len(follow("label", "100 draws")["draws"]) == 100


def test_collapse(follow):
    """Scores twelve times as long; with leave-one-out nothing pulls, in a good place or a bad."""
    narrow, wide = follow("collapse"), follow("collapse", "Wide again")
    lengths = [np.mean(np.abs(numbers["scores"])) for numbers in (narrow, wide)]
    assert lengths[0] / lengths[1] == pytest.approx(1 / 0.08, rel=0.3)
    for link, reward in (("Leave-one-out", 1), ("In a bad place", -1)):
        numbers = follow("collapse", link)
        assert set(numbers["rewards"]) == {reward}
        assert set(numbers["weights"]) == {0}
        assert numbers["after"]["mean"] == numbers["state"]["mean"]
    assert np.linalg.norm(wide["estimate"]) > 0.1


def test_noise_of_rounding_is_no_noise(open_page):
    """Rewards that are all equal, but no round numbers, leave nothing to compare either."""
    page = open_page(
        "mean=-0.9,-0.9&factor=0.08,0,0.08&samples=40&baseline=leave-one-out&shift=0.1&stage=weighted"
    )
    assert "there is no noise" in page.text("#worth")
    assert page.text("#figure-off") == "no two estimates differ"
    page.open("tab=moves&payoffs=0.1,0.1,0.1,0.1,0.1&baseline=leave-one-out&shift=0.3")
    assert "there is no noise" in page.text("#worth")
    page.open("tab=moves&logits=20,-20,0,0,0")
    assert page.text("#figure-off") == "no two estimates differ"


def test_figures_have_the_digits_of_their_unit(open_page):
    page = open_page("scale=0.0001")
    assert page.text("#figure-value") == "−0.00008235"
    page.open("scale=1000000")
    assert page.text("#figure-value") == "−823545.1"
    page.open("tab=moves&scale=0.001&samples=5")
    assert "0.0" not in page.tab.locator("#moves small").all_inner_texts()
    assert "reward −0.0010" in page.text("#moves")


@pytest.mark.parametrize("unit", ["scale=0.001", "shift=0.25", "scale=1e15", "scale=1e-15"])
def test_nothing_is_cut_whatever_the_unit(unit, open_page):
    page = open_page(f"{unit}&panel=runs&samples=20&rate=0")
    page.act("step")
    assert page.tab.evaluate("figures.scrollWidth <= figures.parentElement.clientWidth")
    assert page.tab.evaluate(
        "[...figures.querySelectorAll('td')].every(td => td.scrollWidth <= td.clientWidth + 1)"
    )
    left = page.tab.evaluate(
        """(() => {
            const curve = document.getElementById('curve')
            const {data} = curve.getContext('2d').getImageData(0, 0, 3, curve.height)
            return data.filter((_, k) => k % 4 === 3).reduce((most, own) => Math.max(most, own), 0)
        })()"""
    )
    assert left == 0
    page.messages.clear()  # the browser's advice on reading pixels


def test_average(follow):
    """The bundle nearly cancels: the average is far shorter than what is averaged."""
    numbers = follow("average", "Moved to the mean")
    arrows = np.array(numbers["weights"])[:, None] * np.reshape(numbers["scores"], (-1, 2))
    assert numbers["estimate"] == pytest.approx(arrows.mean(0))
    assert np.linalg.norm(arrows.mean(0)) < np.linalg.norm(arrows, axis=1).mean() / 5


@pytest.mark.parametrize("state", ["baseline=leave-one-out&samples=12&seed=7", "samples=12&seed=7"])
def test_the_table_of_figures_shows_the_numbers(state, open_page):
    page = open_page(state)
    numbers = page.numbers()
    shown = {}
    for name in ("value", "sample", "exact", "estimate", "mean", "variance", "after"):
        text = page.text(f"#figure-{name}").replace("−", "-")
        shown[name] = [float(number) for number in re.findall(r"[-+]?[\d.]+", text)]
    assert shown["value"] == pytest.approx([numbers["expected_reward"]], abs=6e-5)
    assert shown["sample"] == pytest.approx([np.mean(numbers["rewards"])], abs=6e-5)
    assert shown["exact"] == pytest.approx(numbers["exact_gradient"], abs=6e-4)
    assert shown["estimate"] == pytest.approx(numbers["estimate"], abs=6e-4)
    assert shown["mean"] == pytest.approx(numbers["cloud"]["mean"], abs=6e-4)
    assert shown["variance"] == pytest.approx([numbers["cloud"]["total_variance"]], rel=6e-3)
    assert shown["after"] == pytest.approx([numbers["expected_reward_after"]], abs=6e-5)

    # Standard errors that the mean is off, the worse of its two components.
    estimates = np.reshape(numbers["cloud"]["estimates"], (200, 2))
    errors = estimates.std(0, ddof=1) / np.sqrt(200)
    off = np.abs(estimates.mean(0) - numbers["exact_gradient"]) / errors
    assert float(page.text("#figure-off").split()[0]) == pytest.approx(off.max(), abs=0.06)
