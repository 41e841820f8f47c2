"""An expectation as a part of a larger module."""

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli

import sfgrad as sf


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.gate = sf.StochasticNode()

    def forward(self, x):
        return self.gate(Bernoulli(logits=self.linear(x)[:, 0]))


class Circular(Net):
    """Makes the objective of itself, and holds it."""

    def __init__(self):
        super().__init__()
        self.objective = sf.expectation(self)


class Recursive(Circular):
    def forward(self, x):
        return self.objective(x)


class Distant(Net):
    """Holds the objective of itself at another module."""

    def __init__(self):
        super().__init__()
        self.trainer = nn.Module()
        self.trainer.objective = sf.expectation(self)


X = torch.ones(3, 2)
CIRCLE = "an expectation of the {0} that it is a part of.*call expectation.model. outside the model"


@pytest.mark.parametrize(
    "call",
    [
        lambda model: model.train(),
        lambda model: model.eval(),
        lambda model: model.to("cpu"),
        lambda model: model.double(),
        lambda model: model.share_memory(),
        lambda model: model.state_dict(),
        lambda model: model.load_state_dict(Net().state_dict(), strict=False),
        lambda model: model.apply(print),
        lambda model: model.objective(X),
    ],
)
@pytest.mark.parametrize("kind", [Circular, Recursive])
def test_an_objective_that_its_own_model_holds_is_refused(call, kind):
    model = kind()
    with pytest.raises(
        ValueError, match=f"{kind.__name__}.objective is {CIRCLE.format(kind.__name__)}"
    ):
        call(model)


def test_where_it_is_held_is_named():
    with pytest.raises(
        ValueError, match=r"Distant\.trainer\.objective is " + CIRCLE.format("Distant")
    ):
        Distant().train()
    with pytest.raises(ValueError, match=r"Recursive\.objective is "):
        Recursive()(X)


def test_a_circle_can_be_printed():
    assert "Expectation(samples=1, in_dims=0" in repr(Circular())
    assert "fn: Circular around it" in repr(Circular())


def test_an_objective_outside_of_the_model_or_hidden_in_a_list_is_fine():
    class Hidden(Net):
        def __init__(self):
            super().__init__()
            self.objectives = [sf.expectation(self)]

    for model, objective in (
        (net := Net(), sf.expectation(net)),
        (it := Hidden(), it.objectives[0]),
    ):
        model.train().double().state_dict()
        objective.double()(X.double()).backward()
        assert model.linear.weight.grad is not None


# ---------------------------------------------------------------- state_dict


class Trainer(nn.Module):
    """Holds a model and the objective of it."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        self.objective = sf.expectation(net)


def test_a_model_beside_its_objective_is_saved_twice_with_a_warning():
    trainer = Trainer(Net())
    message = r"all of Net twice, under 'net\.' and 'objective\.fn\.'.*outside the module"
    with pytest.warns(UserWarning, match=message) as caught:
        state = trainer.state_dict()
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert "objective.fn.linear.weight" in state
    with pytest.warns(UserWarning, match=message):
        trainer.state_dict(keep_vars=True)


def test_the_warning_names_where_both_are():
    holder = nn.ModuleDict({"a": Trainer(Net())})
    with pytest.warns(UserWarning, match=r"under 'a\.net\.' and 'a\.objective\.fn\.'"):
        holder.state_dict()

    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    trainer = Trainer(net)
    trainer.objective = sf.expectation(net[1])
    with pytest.warns(UserWarning, match=r"all of Linear twice, under 'net\.1\.' and 'objective"):
        trainer.state_dict()

    pair = nn.ModuleList([sf.expectation(net), sf.expectation(net)])
    with pytest.warns(UserWarning, match=r"under '0\.fn\.' and '1\.fn\.'"):
        pair.state_dict()


def test_other_state_dicts_do_not_warn():
    trainer = Trainer(Net())
    trainer.net = copy.deepcopy(trainer.net)  # another model with the same names
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(trainer.state_dict()) == 4
        sf.expectation(Net()).state_dict()
        sf.expectation(lambda x: x).state_dict()
        nn.ModuleList([nn.ReLU(), sf.expectation(nn.ReLU())]).state_dict()
        Trainer(Net().to("meta")).state_dict()


def test_a_model_of_sparse_tensors_is_saved():
    """They have no address by which one could tell that both are the same."""
    net = nn.Module()
    net.register_buffer("adjacency", torch.eye(3).to_sparse())
    trainer = Trainer(net)
    state = trainer.state_dict()
    assert torch.equal(state["objective.fn.adjacency"].to_dense(), torch.eye(3))


def test_a_copy_and_a_pickle_of_an_objective_work():
    torch.manual_seed(0)
    objective = sf.expectation(Net(), samples=2, in_dims={"x": 0})
    for other in (copy.deepcopy(objective), pickle.loads(pickle.dumps(objective))):
        other.load_state_dict(objective.state_dict())
        losses = []
        for each in (objective, other):
            torch.manual_seed(1)
            losses.append(each(X).item())
        assert losses[0] == losses[1]
