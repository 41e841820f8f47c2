"""Who may influence whom, the products and costs to go, and the formula: against all pairs."""

import pytest
import torch
from torch.distributions import Bernoulli

import sfgrad as sf
from sfgrad.ancestry import Ancestry, Members, Path
from sfgrad.credit import Credit
from sfgrad.objective import Pairs, Weights, row_loss


def random_graph(seed, nodes=7, costs=5):
    """Ancestors of random events as the library has them, and as sets."""
    generator = torch.Generator().manual_seed(seed)

    def number(high):
        return int(torch.randint(high, (), generator=generator))

    ancestry, sets, of_costs, cost_sets = Ancestry(), [], [], []
    for event in range(nodes + costs):
        before = min(event, nodes)
        kind = number(4)
        if kind == 0:
            found, wanted = before, set(range(before))
        else:
            parents = [number(before) for _ in range(min(kind - 1, before))]
            found = ancestry.union(parents)
            wanted = set(parents).union(*(sets[parent] for parent in parents))
        if event < nodes:
            ancestry.events.append(found)
            sets.append(wanted)
        else:
            of_costs.append(found)
            cost_sets.append(wanted)
    return ancestry, sets, of_costs, cost_sets


def members(ancestry, event):
    bits = ancestry.bits(event)
    return {i for i in range(bits.bit_length()) if bits >> i & 1}


@pytest.mark.parametrize("nodes", [1, 7])
@pytest.mark.parametrize("seed", range(60))
def test_products_and_costs_to_go_equal_those_of_all_pairs(seed, nodes):
    ancestry, sets, of_costs, cost_sets = random_graph(seed, nodes)
    generator = torch.Generator().manual_seed(seed)
    weighted = (torch.rand(len(sets), generator=generator) < 0.7).tolist()
    weighted[0] = True
    for event, wanted in zip([*ancestry.events, *of_costs], [*sets, *cost_sets], strict=True):
        assert members(ancestry, event) == wanted
    reached = set().union(*cost_sets)
    assert ancestry.reached(of_costs) == [i in reached for i in range(len(sets))]

    places = [i for i, has in enumerate(weighted) if has]
    log_weights = torch.randn(len(places), 3, generator=generator, dtype=torch.float64)
    costs = torch.randn(len(of_costs), 3, generator=generator, dtype=torch.float64)
    weight = {i: log_weights[place].exp() for place, i in enumerate(places)}
    one = torch.ones(3, dtype=torch.float64)

    def product(chosen):
        result = one
        for i in chosen:
            result = result * weight.get(i, one)
        return result

    credit = Credit(ancestry.events, of_costs, weighted)
    at_costs, at_nodes = credit.products(log_weights)
    torch.testing.assert_close(at_costs, torch.stack([product(s) for s in cost_sets]))
    torch.testing.assert_close(at_nodes, torch.stack([product(sets[i]) for i in places]))
    wanted = []
    for i in places:
        pairs = zip(cost_sets, costs, strict=True)
        later = [product(j for j in s if j > i) * cost for s, cost in pairs if i in s]
        wanted.append(sum(later, 0 * one))
    found = credit.costs_to_go(log_weights.exp(), costs)
    torch.testing.assert_close(found, torch.stack(wanted))

    # The formula, written once more with what is above.
    baselines = torch.randn(len(places), 3, generator=generator, dtype=torch.float64)
    by_hand = sum(product(s) * c for s, c in zip(cost_sets, costs, strict=True))
    torch.testing.assert_close(row_loss(costs, Weights(log_weights), credit), by_hand)
    for i, baseline in zip(places, baselines, strict=True):
        by_hand = by_hand + product(sets[i]) * (1 - weight[i]) * baseline
    pairs = Pairs(baselines, baselines)
    torch.testing.assert_close(row_loss(costs, Weights(log_weights), credit, pairs), by_hand)


def test_a_weight_of_zero_in_one_path_leaves_the_others_alone():
    ancestry = Ancestry()
    ancestry.events = [0, 0, 0]
    credit = Credit(ancestry.events, [Path(0), Path(1), Path(2)], [True] * 3)
    log_weights = torch.tensor([[0.5], [-torch.inf], [0.7]])
    at_costs, _ = credit.products(log_weights)
    torch.testing.assert_close(at_costs, log_weights.exp())


def test_kinds_of_ancestors():
    ancestry = Ancestry()
    for parents in ([], [0], [1], [], [3], [2, 4], [0, 4]):
        ancestry.events.append(ancestry.union(parents))
    assert ancestry.events == [0, 1, 2, 0, Path(3), 5, Members(0b11001)]
    assert ancestry.union([6, 3, 0]) == Path(6)  # its parents add nothing to it


# ---------------------------------------------------------------- growth


def state_space(steps, by):
    """A chain in which every state depends on the last, beside another; a verdict at the end."""
    logits = torch.zeros(steps, 4, requires_grad=True)
    with sf.StochasticGraph() as graph:
        last, beside, states = [], [], []
        for t in range(steps):
            z = sf.sample(Bernoulli(logits=logits[t]), name=f"z{t}", parents=last)
            w = sf.sample(Bernoulli(logits=logits[t]), name=f"w{t}", parents=beside)
            last = [z] if by == "tensor" else [f"z{t}"]
            beside = [w] if by == "tensor" else [f"w{t}"]
            states.append(last)
            sf.add_cost(w, parents=beside)
        for parents in states:
            sf.add_cost(torch.ones(4), parents=parents)
    loss = graph.loss()
    loss.backward()
    return logits.grad


@pytest.mark.parametrize("by", ["name", "tensor"])
def test_what_a_chain_of_parents_remembers_grows_like_its_length(by):
    """Counted in objects of the ancestry, not in seconds: each event is one path, of any length."""
    torch.manual_seed(0)
    grad = state_space(60, by)
    assert grad.isfinite().all()
    ancestry = Ancestry()
    for t in range(3000):
        ancestry.events.append(ancestry.union([t - 2] if t > 1 else []))
    kinds = {type(event) for event in ancestry.events}
    assert kinds == {int, Path}  # a set of its own for none
