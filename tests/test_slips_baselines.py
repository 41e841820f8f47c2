"""Slips with baselines, and with baselines of one's own."""

import numpy as np
import pytest
import torch
from torch import nn

import sfgrad as sf
from tests.slips import Slips, assert_refused, coins, train

slip = Slips()


def train_with(context, module=None, **request):
    """A draw with a learned baseline that looks at `context`."""
    baseline = sf.Learned(nn.Linear(2, 1) if module is None else module)
    return train(sf.ScoreFunction(baseline), context=context, **request)


@slip("the value of Constant is the string '0.5': it must be a number")
def a_constant_from_the_command_line():
    sf.Constant("0.5")


@slip("the value of Constant is None: it must be a number")
def a_constant_that_is_not_known_yet():
    sf.Constant(None)


@slip(r"the value of Constant is a tensor of shape \[4\]: it must be a number")
def a_constant_for_every_row():
    sf.Constant(torch.zeros(4))


@slip(r"the value of Constant is a Parameter: it must be a number, .* baseline that learns use Mov")
def a_constant_that_is_to_be_train_with():
    sf.Constant(nn.Parameter(torch.zeros(())))


@slip(r"decay is 2: it must be in \[0, 1\)")
def a_decay_above_one():
    sf.MovingAverage(decay=2)


@slip(r"decay is the string '0.9': it must be a number in \[0, 1\)")
def a_decay_from_the_command_line():
    sf.MovingAverage("0.9")


@slip("the module of Learned is 3: give a network that maps the context to one number per row")
def a_size_in_place_of_a_network():
    sf.Learned(3)


@slip(
    r"the module of Learned is the class Linear: give a network .* an object such as nn.Linear\(8"
)
def a_network_that_is_not_called():
    sf.Learned(nn.Linear)


@slip("the module of Learned is a MovingAverage: give a network")
def a_baseline_that_is_to_be_train_with():
    sf.Learned(sf.MovingAverage())


@slip("detach of Learned is 0.5: it must be True or False; the weight of the error is set by")
def a_weight_in_the_place_of_detach():
    sf.Learned(nn.Linear(2, 1), 0.5)


@slip("weight of Learned is the string 'x': it must be a number, at least 0")
def a_weight_that_is_a_string():
    sf.Learned(nn.Linear(2, 1), weight="x")


@slip("weight of Learned is -1.0: it must be at least 0")
def a_weight_below_zero():
    sf.Learned(nn.Linear(2, 1), weight=-1.0)


@slip("node 'z' has a Learned baseline but no context: pass context=")
def a_learned_baseline_without_context():
    train_with(None)


@slip("node 'z': the context of its Learned baseline is a numpy array: give a tensor, rows first")
def a_context_of_numpy():
    train_with(np.zeros((4, 2)))


@slip("node 'z': the context of its Learned baseline is a list that .*: give a tensor, rows first")
def a_context_in_a_list():
    train_with([[1.0, 2.0]] * 4)


@slip("node 'z': the context of its Learned baseline is a list that .*: give a tensor, rows first")
def a_context_in_a_list_under_a_mask():
    train_with([[1.0, 2.0]] * 4, mask=torch.ones(4).bool())


@slip(
    r"node 'z': the Linear of its Learned baseline fails on a context of torch.float32 \[4, 3\] on"
)
def a_context_of_another_width():
    train_with(torch.zeros(4, 3))


@slip(
    r"node 'z': the Linear of its Learned baseline fails on a context of torch.int64 \[4, 2\] on c"
)
def a_context_of_whole_numbers():
    train_with(torch.zeros(4, 2, dtype=torch.int64))


@slip(
    r"node 'z': the Linear of its Learned baseline fails on a context of torch.float32 \[4, 2\] on"
)
def a_context_on_another_device():
    train_with(torch.zeros(4, 2, device="meta"))


@slip(r"node 'z': Learned returned shape \[4, 3\] for 4 rows of context: return one number per row")
def a_network_of_several_outputs():
    train_with(torch.zeros(4, 2), nn.Linear(2, 3))


@slip(
    "node 'z': the LSTM of its Learned baseline returned a tuple that .*: return one number per row"
)
def a_network_that_returns_a_pair():
    train_with(torch.zeros(4, 2), nn.LSTM(2, 1))


@slip("node 'z': the Forgetful of its Learned baseline returned None: return one number per row")
def a_network_that_returns_nothing():
    class Forgetful(nn.Module):
        def forward(self, context):
            context.sum(1)

    train_with(torch.zeros(4, 2), Forgetful())


@slip("node 'z': leave-one-out has nothing to compare, every row is drawn once: set samples=2")
def a_comparison_with_nothing():
    train(sf.ScoreFunction(sf.LeaveOneOut()))


@slip("groups= is on meta but the graph began on cpu: nothing is moved silently")
def groups_on_another_device():
    groups = torch.tensor([0, 0, 1, 1])
    with sf.StochasticGraph(groups=groups) as graph:
        graph.tape.groups.ids = groups.to("meta")  # as a model on a GPU has them on the CPU
        sf.sample(coins(), sf.ScoreFunction(sf.LeaveOneOut()))


# ---------------------------------------------------------------- baselines of one's own


def zero(self, cost_to_go, prediction):
    return cost_to_go.new_zeros(())


def judge(read=zero, **methods):
    """A draw with a baseline of one's own, up to the loss."""
    own = type("Own", (sf.Baseline,), {"read": read, **methods})
    return train(sf.ScoreFunction(own()))


@slip(r"the baseline of ScoreFunction is a Judge: .*predicts the cost is Learned\(network\)")
def a_baseline_that_is_only_a_module():
    class Judge(nn.Module):
        read = zero

    sf.ScoreFunction(Judge())


@slip(r"the baseline of ScoreFunction is a Judge: give an .* LeaveOneOut\(\) or MovingAverage\(\)$")
def a_baseline_that_is_only_a_class_of_its_own():
    class Judge:
        read = zero

    sf.ScoreFunction(Judge())


@slip(
    r"the baseline of ScoreFunction is an Own that never called super\(\).__init__\(\): call it fi"
)
def a_baseline_without_super():
    judge(__init__=lambda self: None)


@slip("node 'z': Own.read returned 0.5: return a tensor that broadcasts to the cost to go")
def a_reading_that_is_a_number():
    judge(lambda self, cost_to_go, prediction: 0.5)


@slip(
    "node 'z': Own.read returned a numpy array: return a tensor that broadcasts to the cost to go"
)
def a_reading_of_numpy():
    judge(lambda self, cost_to_go, prediction: cost_to_go.numpy())


@slip(r"node 'z': Own.read returned shape \[3\]: return a tensor .* the cost to go, \[1, 1, 4\]")
def a_reading_of_another_number_of_rows():
    judge(lambda self, cost_to_go, prediction: torch.zeros(3))


@slip(r"node 'z': Own.read returned shape \[4, 1\]: return a tensor .* the cost to go, \[1, 1, 4\]")
def a_reading_that_is_a_column():
    judge(lambda self, cost_to_go, prediction: cost_to_go.reshape(4, 1))


@slip(
    r"node 'z': Own.read takes other arguments .*: define it as read\(self, cost_to_go, prediction"
)
def a_reading_of_the_cost_alone():
    judge(lambda self, cost_to_go: cost_to_go.mean())


@slip("node 'z': Own.read returned 0.5: return a tensor that broadcasts to the cost to go")
def a_reading_of_a_group_that_is_a_number():
    def read(self, cost_to_go, prediction):
        return 0.5

    own = type("Own", (sf.Baseline,), {"read": read, "compares": True})
    with sf.StochasticGraph(groups=torch.tensor([0, 0, 1, 1])) as graph:
        sf.add_cost(sf.sample(coins(), sf.ScoreFunction(own()), name="z"))
    graph.loss()


@slip("Own.update returned 1.0: return its error as a tensor of shape")
def an_error_that_is_a_number():
    judge(update=lambda self, cost_to_go, prediction: 1.0)


@slip(
    r"Own.update returned a tensor of shape \[1, 1, 4\]: return its error as a tensor of shape \[\]"
)
def an_error_for_every_row():
    judge(update=lambda self, cost_to_go, prediction: cost_to_go.square())


@slip(
    r"Own.update takes other arguments .*: define it as update\(self, cost_to_go, prediction, mask"
)
def an_update_by_the_cost_alone():
    judge(update=lambda self, cost_to_go: None)


@slip("node 'z': Own.at_draw returned 0.5: return a tensor, one number for each row, or None")
def a_prediction_that_is_a_number():
    judge(at_draw=lambda self, name, context, samples: 0.5)


@slip(r"node 'z': Own returned shape \[3\] for 4 rows of context: return one number per row")
def a_prediction_of_another_number_of_rows():
    judge(at_draw=lambda self, name, context, samples: torch.zeros(3))


@slip(
    r"node 'z': Own.at_draw takes other arguments .*: define it as at_draw\(self, name, context, s"
)
def a_prediction_by_the_context_alone():
    judge(at_draw=lambda self, context: context)


@slip.parametrize
def test_a_slip_ends_in_a_whole_sentence(make, message):
    assert_refused(make, message)


def test_a_function_may_predict():
    """A control: a network that something else owns, with a parameter that learns."""
    critic = nn.Linear(2, 1)
    baseline = sf.Learned(lambda context: critic(context))
    train(sf.ScoreFunction(baseline), context=torch.ones(4, 2)).backward()
    assert critic.weight.grad.abs().sum() > 0


def test_a_lack_of_memory_is_left_as_it_is():
    """A control: programs catch it, and try a smaller batch."""

    def full(context):
        raise torch.OutOfMemoryError("no memory left")

    with pytest.raises(torch.OutOfMemoryError):
        train_with(torch.zeros(4, 2), full)


def test_an_error_inside_of_a_baseline_is_left_as_it_is():
    def read(self, cost_to_go, prediction):
        return cost_to_go + "x"

    with pytest.raises(TypeError, match="unsupported operand|must be Tensor"):
        judge(read)
