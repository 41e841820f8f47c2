"""What a program did, as recorded, as a sheet, as a film; how far it goes; how it learned."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import same_color, to_rgb
from matplotlib.patches import Circle, Rectangle, Wedge
from PIL import Image
from torch import Generator

from applications.kit import figures as style
from applications.kit.errors import RunError
from applications.kit.files import save_state
from applications.kit.run import CHECKPOINT, CONFIG, METRICS
from applications.memory import film, pictures, weights
from applications.memory.config import RUNS, Config
from applications.memory.model import MemoryModel
from applications.memory.program import READ, SIGNS, WRITE, program_figure, tint
from applications.memory.tasks import BLANK, END, FIRST, KINDS, THRICE, TWICE
from applications.memory.trace import NOTHING, memory_cells, record

REVERSE = Config(task="reverse")
COURSE = [
    {"update": 50, "seconds": 30.0, "level": 3, "error": 0.9, "entropy": 7, "gradient_snr": -0.1},
    {"update": 100, "seconds": 60.0, "level": 10, "error": 0.0, "entropy": 5, "gradient_snr": 90},
]
ALWAYS = -1


def program(task, mode, *rules, recall=False, shifts=()):
    """A program without a state that follows rules: an action's logit is the sum of its rules'.

    Args:
        task: its name.
        mode: likewise.
        rules: when (`ALWAYS`, a kind of symbol that the input shows, or the last action), what
            (an action), and its weight.
        recall: gives out what memory shows, not the input.
        shifts: when, which (0 write, 1 read), which of `SHIFTS`, weight, in mode `soft`.
    """
    table = MemoryModel(Config(task=task, mode=mode)).table.tolist()
    units = 2 * KINDS + len(table)
    model = MemoryModel(Config(task=task, mode=mode, controller="feed-forward", units=units))

    def add(when, row, weight):
        if when == ALWAYS:
            out.bias[row] += weight
        else:
            out.weight[row, when if isinstance(when, int) else 2 * KINDS + act(when)] += weight

    def act(action):
        return table.index(list(action))

    core, out = model.controller.core[0], model.controller.out
    with torch.no_grad():
        core.weight.copy_(torch.eye(units))
        for parameter in (core.bias, out.weight, out.bias):
            parameter.zero_()
        out.bias[len(table) + recall] = 20
        out.bias[len(table) + 2 + 6 :] = -20  # attention is not sharpened
        for when, action, weight in rules:
            add(when, act(action), weight)
        for when, which, shift, weight in shifts:
            add(when, len(table) + 2 + 3 * which + shift, weight)
    return model


def reverse():
    """To the end, then back giving out."""
    forth, back = (1, 0, 0, 0), (-1, 1, 1, 1)
    turn = (-1, 0, 0, 0)
    rules = (ALWAYS, forth, 1), (END, turn, 9), (turn, back, 5), (back, back, 5)
    return program("reverse", "moves", *rules)


def repeat_copy():
    """To the end giving out, back, and again."""
    out, skip, back = (1, 1, 1, 1), (1, 0, 0, 0), (-1, 0, 0, 0)
    rules = (ALWAYS, out, 1), (TWICE, skip, 9), (THRICE, skip, 9), (END, back, 9), (back, back, 5)
    return program("repeat-copy", "moves", *rules)


def soft_copy(sharp=4.0):
    """Copies with attention that moves by one, more or less."""
    wait, give = (1, 0, 0, 0), (1, 0, 0, 1)
    rules = (ALWAYS, wait, 1), (END, give, 9), (give, give, 9)
    stay = (wait, 1, 1, -sharp), (wait, 1, 0, sharp)
    go = (give, 1, 1, sharp), (END, 1, 1, 2 * sharp)
    shifts = (ALWAYS, 0, 1, sharp), (ALWAYS, 1, 1, sharp), *stay, *go
    return program("copy", "soft", *rules, recall=True, shifts=shifts)


def copy(task="reverse"):
    """Gives out what it sees, to the end."""
    return program(task, "moves", (ALWAYS, (1, 1, 1, 1), 1))


def address_reverse():
    """Writes forwards; once the end is seen, reads backwards and gives that out."""
    forth, back = (1, 1, 1, 0), (1, 1, -1, 1)
    rules = (ALWAYS, forth, 1), (END, back, 9), (back, back, 9)
    return program("reverse", "address", *rules, recall=True)


def traced(model, length=3, seed=0):
    """What it does to a problem."""
    return record(model, length, Generator().manual_seed(seed))


def written(model, folder, course=COURSE):
    """A run folder with it."""
    folder.mkdir(parents=True)
    state = {"model": model.state_dict(), "update": 7, "seconds": 1.0}
    save_state(folder / CHECKPOINT, state)
    return learned(folder, course, model.config)


def learned(folder, course=COURSE, config=REVERSE):
    """A run folder with metrics."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps({**asdict(config), "origin": {}}))
    (folder / METRICS).write_text("".join(json.dumps(line) + "\n" for line in course))
    return folder


def plot(**options):
    """Run the subcommand."""
    pictures.plot(pictures.Options(**{"length": 3, **options}))


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "shipped")


@pytest.fixture
def quick(monkeypatch):
    """Few lengths, few problems."""
    monkeypatch.setattr(pictures, "LENGTHS", (1, 3))
    monkeypatch.setattr(pictures, "PROBLEMS", 5)


# ---------------------------------------------------------------- what was done


def test_a_program_by_moves_is_recorded_step_by_step():
    trace = traced(reverse())
    a, b, c = trace.tape[1:4].tolist()
    assert trace.input.tolist() == [1, 2, 3, 4, 3, 2, 1, 0]
    assert trace.seen.tolist() == [a, b, c, END, c, b, a, BLANK]
    assert trace.given.tolist() == [NOTHING] * 4 + [c, b, a]
    assert trace.wanted.tolist() == [c] * 5 + [b, a]
    assert trace.right.tolist() == [False] * 4 + [True] * 3
    # the head stays until it gives out: it writes to a cell, then leaves it
    assert trace.writing.argmax(1).tolist() == [0, 0, 0, 0, 0, 1, 2]
    assert trace.reading.argmax(1).tolist() == [0, 0, 0, 0, 0, 1, 2, 3]
    assert trace.recalled.tolist() == [BLANK, a, b, c, END, BLANK, BLANK, BLANK]
    assert trace.contents[-1].argmax(1)[:4].tolist() == [c, b, a, BLANK]
    assert trace.contents[0].argmax(1).eq(BLANK).all()


def test_what_is_written_at_an_address_is_there_at_the_next_step():
    trace = traced(address_reverse())
    a, b, c = trace.tape[1:4].tolist()
    assert trace.writing.argmax(1).tolist() == [1, 2, 3, 4, 5, 0]  # a ring of six
    assert trace.reading.argmax(1).tolist() == [0, 1, 2, 3, 2, 1, 0]
    assert trace.recalled[:6].tolist() == [BLANK, a, b, c, b, a]
    assert trace.given.tolist() == [NOTHING] * 3 + [c, b, a]
    for step, symbol in enumerate(trace.seen[:-1]):
        cell = trace.writing[step].argmax()
        assert trace.contents[step + 1, cell].argmax() == symbol


def test_soft_attention_is_recorded_as_shares():
    trace = traced(soft_copy())
    assert trace.writing.sum(1) == pytest.approx(1, abs=1e-5)
    assert trace.reading.sum(1) == pytest.approx(1, abs=1e-5)
    assert trace.writing[0].argmax() == 1
    assert 0.9 < trace.writing[0, 1] < 0.99  # e⁴ to 1 to 1
    mixed = torch.lerp(
        trace.contents[0],
        torch.eye(len(SIGNS))[trace.seen[0]].expand_as(trace.contents[0]),
        trace.writing[0][:, None],
    )
    assert torch.allclose(trace.contents[1], mixed)
    assert trace.given[-3:].tolist() == trace.tape[1:4].tolist()


def test_wrong_letters_are_recorded_as_they_were_given():
    trace = traced(copy())
    a, b, c = trace.tape[1:4].tolist()
    assert len({a, b, c}) == 3
    assert trace.given.tolist() == [a, b, c]
    assert trace.wanted.tolist() == [c, b, a]
    assert trace.right.tolist() == [False, True, False]


def test_a_program_that_gives_out_a_blank_gives_out_something():
    model = program("copy", "moves", (ALWAYS, (0, 0, 0, 1), 1), recall=True)
    trace = traced(model, length=1)
    assert trace.given.tolist() == [BLANK]
    boxes = of_colour(program_figure(trace), style.RED)
    assert len(boxes) == 1


def test_recording_leaves_the_program_as_it_was_and_runs_out_of_time():
    lazy = program("copy", "moves", (ALWAYS, (0, 0, 0, 0), 1))
    assert len(traced(lazy).given) == 2 * 4 + 10  # twice the steps it takes, and ten
    assert not lazy.controller._forward_hooks


def test_the_same_seed_draws_the_same_problem():
    one, same, other = (traced(copy(), 6, seed) for seed in (1, 1, 2))
    assert one.tape.tolist() == same.tape.tolist() != other.tape.tolist()


@pytest.mark.parametrize(
    ("mode", "used", "order"),
    [
        ("moves", [0, 1, 5], [-1, 0, 1]),
        ("moves", [0, 1, 2], [0, 1, 2]),
        ("moves", [0, 4, 5], [-2, -1, 0]),
        ("moves", [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]),
        ("absolute", [0, 1, 5], [0, 1, 5]),
    ],
)
def test_a_ring_is_cut_where_no_head_has_been(mode, used, order):
    writing = torch.eye(6)[used]
    trace = traced(copy())._replace(mode=mode, writing=writing, reading=torch.eye(6)[[0]])
    assert memory_cells(trace, 1) == order


# ---------------------------------------------------------------- the sheet


def of_colour(figure, colour, kind=Rectangle):
    """The shapes that are filled, or edged, with a colour."""
    shapes = [shape for shape in figure.axes[0].patches if isinstance(shape, kind)]
    return [
        shape
        for shape in shapes
        if same_color(shape.get_facecolor()[:3], colour)
        or same_color(shape.get_edgecolor()[:3], colour)
    ]


def middles(shapes):
    """Where they are in time, steps."""
    return [shape.get_x() + shape.get_width() / 2 for shape in shapes]


def test_right_and_wrong_letters_have_their_colours():
    trace = traced(copy())
    figure = program_figure(trace)
    assert middles(of_colour(figure, style.RED)) == pytest.approx([0.5, 2.5])
    assert middles(of_colour(figure, style.BLUE)) == pytest.approx([1.5])
    texts = [text for text in figure.axes[0].texts if text.get_color() == style.RED]
    assert [text.get_text() for text in texts] == [SIGNS[trace.tape[3]], SIGNS[trace.tape[1]]]
    assert "1 of 3 letters right in 3 steps" in figure.axes[0].texts[0].get_text()
    perfect = program_figure(traced(reverse()))
    assert middles(of_colour(perfect, style.BLUE)) == pytest.approx([4.5, 5.5, 6.5])
    assert not of_colour(perfect, style.RED)


def test_the_head_goes_to_the_end_and_back():
    figure = program_figure(traced(reverse()))
    heads = [shape.center for shape in figure.axes[0].patches if isinstance(shape, Circle)]
    times, heights = zip(*heads, strict=True)
    assert times == pytest.approx([step + 0.5 for step in range(7)])
    assert list(heights[:4]) == sorted(heights[:4])
    assert heights[4:] == pytest.approx(heights[2::-1])


def test_a_letter_is_joined_to_the_head_that_sees_it():
    def joined(model):
        figure = program_figure(traced(model))
        links = [line for line in figure.axes[0].lines if line.get_color() == style.BLUE]
        return figure, [line.get_xydata() for line in links]

    figure, links = joined(reverse())
    heads = [shape.center for shape in figure.axes[0].patches if isinstance(shape, Circle)]
    assert [link[0] for link in links] == [pytest.approx(head) for head in heads[4:]]
    figure, links = joined(address_reverse())
    reads = [shape.center[1] for shape in of_colour(figure, READ, Wedge)]
    assert [link[0, 1] for link in links] == pytest.approx(reads[3:])


def test_what_is_read_and_written_is_marked_as_much_as_attention_is_there():
    hard = program_figure(traced(address_reverse()))
    for colour in (READ, WRITE):
        marks = of_colour(hard, colour, Wedge)
        assert [mark.get_alpha() for mark in marks] == [1] * 6
    trace = traced(soft_copy())
    marks = of_colour(program_figure(trace), WRITE, Wedge)
    shares = trace.writing[trace.writing > 0.05]
    assert sorted(mark.get_alpha() for mark in marks) == pytest.approx(sorted(shares.tolist()))
    assert len(shares) > len(trace.writing)


def test_memory_shows_what_it_holds_from_the_middle_of_the_step_that_wrote_it():
    trace = traced(address_reverse())
    strips = program_figure(trace).axes[0].images
    first = strips[memory_cells(trace, 6).index(1)]  # written in the first step, and kept
    colour = tint(trace)[trace.tape[1]].tolist()
    assert first.get_extent()[:2] == [0.5, 6]
    shown = first.get_array()
    assert shown.shape == (1, 11, 4)  # half steps
    assert np.allclose(shown[..., :3], colour)
    second = strips[memory_cells(trace, 6).index(2)].get_array()
    assert (second[0, :, 3] == 0).tolist() == [True] * 2 + [False] * 9


def test_letters_are_coloured_by_their_order_on_the_tape():
    trace = traced(copy())
    colours = tint(trace)
    a, b, c = trace.tape[1:4].tolist()
    assert len({tuple(colours[letter].tolist()) for letter in (a, b, c)}) == 3
    assert min(a, b, c) >= FIRST
    swapped = tint(trace._replace(tape=trace.tape.flip(0)))
    assert torch.equal(colours[a], swapped[c])


@pytest.mark.parametrize(("model", "length"), [(reverse(), 1), (repeat_copy(), 6), (copy(), 6)])
def test_no_text_is_cut_off_or_over_another(model, length):
    figure = program_figure(traced(model, length))
    figure.draw_without_rendering()
    sheet, frame = figure.axes[0], figure.bbox
    boxes = [text.get_window_extent() for text in sheet.texts if text.get_text()]
    boxes += [artist.get_window_extent() for artist in sheet.artists]
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
    assert all(frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in boxes)
    overlaps = sum(
        one.padded(-1).overlaps(other.padded(-1))
        for number, one in enumerate(boxes)
        for other in boxes[:number]
    )
    assert overlaps == 0


# ---------------------------------------------------------------- the film


def test_the_film_has_a_picture_for_each_state():
    trace = traced(copy())
    film.write_film(trace, Path("some/film.gif"))
    with Image.open("some/film.gif") as shown:
        assert shown.n_frames == len(trace.given) + 1
        assert shown.info["loop"] == 0
        times, frames = [], []
        for number in range(shown.n_frames):
            shown.seek(number)
            times.append(shown.info["duration"])
            frames.append(np.asarray(shown.convert("RGB")).astype(int))
    assert times == [film.STEP] * 3 + [film.LAST]
    assert Path("some/film.gif").stat().st_size < 1_000_000
    for colour, letters in ((style.RED, [0, 1, 1, 2]), (style.BLUE, [0, 0, 1, 1])):
        near = [np.abs(frame - np.array(to_rgb(colour)) * 255).max(-1) < 12 for frame in frames]
        area = (film.DENSITY * film.SIDE * 0.84) ** 2  # of a cell, less the letter on it
        assert [round(part.sum() / (0.9 * area)) for part in near] == letters


def test_the_film_follows_the_heads():
    trace = traced(address_reverse())
    for made in (0, 2, 6):
        sheet = film.plot_state(trace, made).axes[0]
        marks = {line.get_color(): line.get_xdata()[0] - 0.5 for line in sheet.lines}
        cells = memory_cells(trace, 7)
        assert cells[round(marks[READ])] == trace.reading[made].argmax()
        assert (WRITE in marks) == (made > 0)
        if made:
            assert cells[round(marks[WRITE])] == trace.writing[made - 1].argmax()
        head = trace.input[made] - 1  # the blank before the tape is not visited
        assert round(marks[style.INK]) == head


# ---------------------------------------------------------------- how far it goes, how it learned


def test_how_far_it_goes_is_measured_and_drawn(quick):
    shares = pictures.measure(reverse())
    assert shares == {1: 1.0, 3: 1.0}
    assert pictures.measure(copy())[3] < 1
    axes = pictures.plot_length({1: 1.0, 20: 0.25}, Config(last=5)).axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[1, 1], [20, 0.25]]
    (trained,) = axes.patches
    assert trained.get_x() + trained.get_width() == 5
    assert axes.get_xscale() == "log"


def test_absolute_addresses_are_measured_as_far_as_there_are_cells(monkeypatch):
    monkeypatch.setattr(pictures, "LENGTHS", (1, 4, 5))
    monkeypatch.setattr(pictures, "PROBLEMS", 1)
    model = MemoryModel(Config(mode="absolute", cells=4, last=4))
    assert list(pictures.measure(model)) == [1, 4]


def test_the_course_of_a_run_and_of_several():
    alone = pictures.plot_learning([COURSE], asdict(Config(seed=3))).axes
    assert [axes.lines[0].get_xdata().tolist() for axes in alone] == [[50, 100]] * 4
    assert [axes.lines[0].get_ydata().tolist() for axes in alone] == [
        [3, 10], [0.9, 0], [7, 5], [-0.1, 90],
    ]  # fmt: skip
    assert all(len(axes.lines) == 1 for axes in alone)
    slow = [{**line, "level": 3} for line in COURSE]
    longer = [*COURSE, {**COURSE[1], "update": 150}]
    figure = pictures.plot_learning([COURSE, slow, longer], asdict(Config()))
    *thin, bold = figure.axes[0].lines
    assert [len(line.get_xdata()) for line in thin] == [2, 2, 3]
    assert bold.get_xydata().tolist() == [[50, 3], [100, 10]]
    assert bold.get_linewidth() > 2 * max(line.get_linewidth() for line in thin)
    assert "3 seeds, median bold, 1.0 minutes each" in figure.get_suptitle()


# ---------------------------------------------------------------- the subcommand


def test_a_run_is_drawn_into_its_folder(quick, capsys):
    folder = written(reverse(), Path("run"))
    plot(run_dir=folder)
    names = ["program.png", "program.gif", "length.png", "learning.png"]
    assert capsys.readouterr().out.split() == [str(folder / name) for name in names]
    for name in names:
        with Image.open(folder / name) as picture:
            assert 400 < max(picture.size) <= style.LONGEST
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 10
        assert (folder / name).stat().st_size < 400_000
    with Image.open(folder / "program.gif") as shown:
        assert shown.n_frames == 8
    plot(run_dir=folder, output=Path("there"), format="svg", length=1)
    assert Path("there/program.svg").read_bytes().startswith(b"<?xml")
    with Image.open("there/program.gif") as shown:
        assert shown.n_frames == 4


def test_equal_pictures_are_equal_files():
    for name in ("one.svg", "two.svg"):
        style.save(program_figure(traced(copy())), Path(name))
    assert Path("one.svg").read_bytes() == Path("two.svg").read_bytes()


def test_a_study_shows_how_all_its_seeds_learned(capsys):
    for seed in (10, 2):
        learned(Path(f"study/{seed}"))
    learned(Path("study/other"))
    plot(run_dir=Path("study"))
    assert capsys.readouterr().out.split() == ["study/learning.png"]
    assert [run.name for run in pictures.seeds_of(Path("study"))] == ["2", "10"]


def test_which_program_is_drawn(monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr(pictures, "plot_program", lambda *passed: drawn.append(passed[3]))
    weights.SHIPPED.mkdir()
    for task in ("copy", "reverse"):
        config = asdict(Config(task=task))
        state = {"weights": MemoryModel(Config(task=task)).state_dict(), "config": config}
        save_state(weights.shipped(task, "moves"), {**state, "origin": {}, "seconds": 1.0})
    plot()
    plot(task="reverse")
    plot(task="reverse", output=Path("there"))
    shipped = [Path("pictures/memory/copy-moves"), Path("pictures/memory/reverse-moves")]
    assert drawn == [*shipped, Path("there")]
    assert capsys.readouterr().out == ""  # what is shipped has no course
    for number, name in enumerate(("copy-1", "reverse-2", "reverse-1")):
        folder = written(reverse(), RUNS / name)
        os.utime(folder / CHECKPOINT, (number, number))
    (RUNS / "no-checkpoint").mkdir()
    learned(RUNS / "study-copy-moves" / "0")
    plot(latest=True)
    plot()
    plot(mode="moves")
    assert drawn[3:] == [RUNS / "reverse-1", shipped[0], shipped[0]]


def test_what_cannot_be_read_or_written_is_told(quick):
    with pytest.raises(RunError, match=r"no trained program for copy-moves is shipped"):
        plot()
    with pytest.raises(RunError, match=r"nowhere holds no run"):
        plot(run_dir=Path("nowhere"))
    folder = written(copy(), Path("run"), course=[])
    told = r"run/metrics\.jsonl has no lines: train longer before drawing the course"
    with pytest.raises(RunError, match=told):
        plot(run_dir=folder)
    learned(Path("study/0"))
    learned(Path("study/1"), course=[])
    with pytest.raises(RunError, match=r"study/1/metrics\.jsonl has no lines"):
        plot(run_dir=Path("study"))
    Path("file").write_text("")
    told = r"file/program\.png cannot be written \(.+\): name another folder by --output"
    with pytest.raises(RunError, match=told):
        plot(run_dir=folder, output=Path("file"))
