"""The pure functions where numbers are large, rounded, of half types, or no tensors at all."""

import numpy as np
import pytest
import torch

import sfgrad as sf
from sfgrad.optim import clipped_surrogate

# ---------------------------------------------------------------- standardize

CONSTANTS = [1000.1, -0.1, 1e-7, 1e30, 0.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("constant", CONSTANTS)
@pytest.mark.parametrize("count", [2, 3, 1000, 4097])
def test_equal_numbers_come_out_as_0(constant, dtype, count):
    x = torch.full((count,), min(constant, torch.finfo(dtype).max), dtype=dtype)
    assert sf.standardize(x).abs().max() < 1e-3
    assert sf.standardize(x.expand(2, -1), dim=1).abs().max() < 1e-3
    mask = torch.ones(count, dtype=torch.bool)
    assert sf.standardize(x, mask=mask).abs().max() < 1e-3
    mixed = torch.stack([x, torch.arange(count).to(dtype)])
    mask = torch.stack([mask, mask.logical_not()])
    assert sf.standardize(mixed, mask=mask).abs().max() < 1e-3
    assert sf.standardize(mixed, dim=1, mask=mask).abs().max() < 1e-3


def test_numbers_that_are_equal_up_to_rounding_are_hardly_told_apart():
    x = torch.full((1000,), 1000.1)
    x[::2] = torch.nextafter(x[0], torch.tensor(torch.inf))
    assert sf.standardize(x).abs().max() < 0.2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("masked", [False, True])
def test_small_deviations_that_are_not_rounding_are_kept(dtype, masked):
    """A thousand units in the last place around a mean of 1000, against whole numbers."""
    torch.manual_seed(0)
    whole = torch.randint(-1000, 1000, (3, 501), dtype=torch.float64)
    unit = torch.finfo(dtype).eps * 1024
    x = (1000 + whole * unit).to(dtype)
    assert torch.equal(((x.double() - 1000) / unit).round(), whole)
    mask = torch.rand(whole.shape) < 0.7 if masked else None
    for dim in (None, 1):
        found = sf.standardize(x, 0.0, dim, mask)
        wanted = sf.standardize(whole, 0.0, dim, mask)
        torch.testing.assert_close(found.double(), wanted, rtol=1e-3, atol=1e-3)


def test_the_gradient_of_equal_numbers_is_finite():
    for constant in (3.0, 0.0):
        x = torch.full((4,), constant, requires_grad=True)
        sf.standardize(x, eps=1e-2)[0].backward()
        assert x.grad.isfinite().all()


def test_whole_numbers_are_standardized_too():
    assert sf.standardize(torch.tensor([1, 3])).tolist() == [-1, 1]


# ---------------------------------------------------------------- half types


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sums_of_half_types_are_of_single_precision(dtype):
    torch.manual_seed(0)
    x = 300 * torch.randn(4099, dtype=torch.float32).to(dtype)  # squares that float16 cannot hold
    wanted = sf.standardize(x.float())
    assert sf.standardize(x).dtype == dtype
    torch.testing.assert_close(sf.standardize(x), wanted.to(dtype))

    groups = torch.arange(4099) % 2
    for given in (None, groups):
        found = sf.leave_one_out(x + 300, groups=given)
        assert found.dtype == dtype
        exact = sf.leave_one_out((x + 300).double(), groups=given)
        torch.testing.assert_close(found, exact.to(dtype))

    log_prob = torch.full_like(x, -200, requires_grad=True)
    for loss in (
        sf.score_function_loss(log_prob, x.abs()),
        sf.score_function_loss(log_prob, x.abs(), groups == 0),
    ):
        assert loss.dtype == torch.float32
        assert torch.autograd.grad(loss, log_prob)[0].dtype == dtype
    exact = sf.score_function_loss(log_prob.double(), x.abs().double(), groups == 0)
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=0)
    found = clipped_surrogate(log_prob, log_prob, x.abs() + 300, 0.2, groups == 0)
    assert found.dtype == torch.float32
    exact = -(x.abs() + 300).double()[::2].mean()
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_large_whole_numbers_are_compared_without_rounding(dtype):
    """Single precision knows no 2²⁴ + 1."""
    costs = torch.tensor([2**24 + 1, -(2**24), 0], dtype=dtype)
    assert sf.leave_one_out(costs)[2] == 0.5
    groups = torch.zeros(3, dtype=torch.int64)
    assert sf.leave_one_out(costs, groups=groups)[2] == 0.5


# ---------------------------------------------------------------- no tensors

TWO = torch.ones(2)


@pytest.mark.parametrize("given", [np.ones(2), [1.0, 1.0], 1.0, None], ids=lambda x: str(type(x)))
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("log_prob", lambda x: sf.score_function_loss(x, TWO)),
        ("advantage", lambda x: sf.score_function_loss(TWO, x)),
        ("log_prob", sf.magic_box),
        ("cost", sf.leave_one_out),
        ("x", sf.standardize),
        ("log_prob", lambda x: clipped_surrogate(x, TWO, TWO, 0.2)),
        ("old_log_prob", lambda x: clipped_surrogate(TWO, x, TWO, 0.2)),
        ("advantage", lambda x: clipped_surrogate(TWO, TWO, x, 0.2)),
    ],
)
def test_what_is_no_tensor_is_named(name, call, given):
    kind = type(given).__name__
    with pytest.raises(TypeError, match=f"^{name} is of type {kind}: give a tensor, as torch.as_t"):
        call(given)


@pytest.mark.parametrize("given", [np.ones(2, dtype=bool), [True, True], True])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("mask", lambda x: sf.score_function_loss(TWO, TWO, x)),
        ("mask", lambda x: sf.standardize(TWO, mask=x)),
        ("mask", lambda x: clipped_surrogate(TWO, TWO, TWO, 0.2, x)),
        ("groups", lambda x: sf.leave_one_out(TWO, groups=x)),
    ],
)
def test_masks_and_groups_that_are_no_tensors_are_named(name, call, given):
    with pytest.raises(
        TypeError, match=f"^{name} is of type {type(given).__name__}: give a tensor"
    ):
        call(given)


@pytest.mark.parametrize(
    "call",
    [
        sf.magic_box,
        sf.leave_one_out,
        sf.standardize,
        lambda x: sf.score_function_loss(x, x),
        lambda x: clipped_surrogate(x, x, x, 0.2),
    ],
)
def test_complex_numbers_are_refused(call):
    with pytest.raises(ValueError, match=r"is complex \(torch.complex64\).*value.real"):
        call(1j * TWO)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (torch.zeros(2), r"groups has shape \[2\] and type torch.float32: give the group of each"),
        (torch.zeros(3, dtype=torch.int64), r"groups has shape \[3\] .* of the 2 samples"),
        (torch.tensor([0, -1]), "groups has a negative number: number the groups from 0 up"),
    ],
)
def test_groups_are_numbers_of_every_sample(groups, message):
    with pytest.raises(ValueError, match=message):
        sf.leave_one_out(TWO, groups=groups)
