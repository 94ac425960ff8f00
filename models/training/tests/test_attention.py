"""Covariance pooling, its square root, SOCA."""
import numpy as np
import pytest
import torch

from sr.attention import SOCA, channel_attention, covariance_pool, newton_schulz_sqrt, root_row_mean


def test_covariance_equals_the_textbook_form_in_float64():
    x = torch.randn(3, 8, 9, 11, dtype=torch.float64) + 5
    m = 99
    centring = torch.eye(m, dtype=torch.float64) / m - torch.ones(m, m, dtype=torch.float64) / m**2
    flat = x.flatten(2)
    assert torch.allclose(covariance_pool(x), flat @ centring @ flat.transpose(1, 2), rtol=1e-12, atol=1e-13)


def test_covariance_memory_is_linear_in_pixels():
    # The M x M form would need 102 GB in float32 here.
    x = torch.randn(1, 4, 400, 400)
    assert covariance_pool(x).shape == (1, 4, 4)


def test_square_root_against_eigen_decomposition():
    # Five steps are exact only for well-conditioned matrices: eigenvalues within a factor of four here.
    q, _ = torch.linalg.qr(torch.randn(5, 4, 4, dtype=torch.float64))
    values = torch.rand(5, 4, dtype=torch.float64) * 3 + 1
    cov = q @ torch.diag_embed(values) @ q.transpose(1, 2)
    exact = q @ torch.diag_embed(values.sqrt()) @ q.transpose(1, 2)
    five = newton_schulz_sqrt(cov)
    assert (five - exact).abs().max() < 0.05
    assert torch.allclose(newton_schulz_sqrt(cov, steps=20), exact, atol=1e-10)


def test_square_root_converges_on_a_wide_spectrum():
    x = torch.randn(2, 64, 32, 32, dtype=torch.float64) * torch.logspace(0, -1, 64, dtype=torch.float64).view(1, 64, 1, 1)
    cov = covariance_pool(x)
    values, vectors = torch.linalg.eigh(cov)
    exact = vectors @ torch.diag_embed(values.clamp_min(0).sqrt()) @ vectors.transpose(1, 2)
    errors = [(newton_schulz_sqrt(cov, n) - exact).norm() / exact.norm() for n in (3, 5, 10, 25)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-6


def test_flat_input_stays_finite_forward_and_backward():
    soca = SOCA(8, 4)
    for value in (0.0, 3.5):
        x = torch.full((2, 8, 6, 6), value, requires_grad=True)
        y = soca(x)
        y.sum().backward()
        assert torch.isfinite(y).all() and torch.isfinite(x.grad).all()


def test_soca_is_float32_under_autocast():
    soca, x = SOCA(16, 4), torch.randn(1, 16, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(soca(x), soca(x.clone()))
        low = soca(x)
    assert torch.allclose(low, soca(x), atol=1e-6)


def test_kinds():
    assert isinstance(channel_attention("none", 8, 4), torch.nn.Identity)
    x = torch.randn(1, 8, 5, 7)
    for kind in ("first", "second"):
        assert channel_attention(kind, 8, 4)(x).shape == x.shape


def rows(x):
    return newton_schulz_sqrt(covariance_pool(x)).mean(1)


@pytest.mark.parametrize("shape", [(2, 16, 12, 12), (1, 48, 9, 31)], ids=str)
def test_the_mean_of_the_rows_is_that_of_the_root(rng, shape):
    x = torch.tensor(rng.normal(size=shape))
    assert torch.allclose(root_row_mean(x), rows(x), rtol=1e-9, atol=1e-12)
    assert torch.allclose(root_row_mean(x.float()).double(), rows(x), rtol=1e-3, atol=1e-5 * rows(x).abs().max())


def test_the_mean_of_the_rows_bears_bfloat16(rng):
    # Features of a network: correlated, some directions far stronger than others, so that rows of the root nearly cancel.
    mix = torch.tensor(rng.normal(size=(48, 48)) * 0.8 ** np.arange(48))
    mix = mix - 0.98 * mix.mean(0)
    x = torch.einsum("cd,dyx->cyx", mix, torch.tensor(rng.normal(size=(48, 24, 24))))[None]
    exact, plain, careful = rows(x), rows(x.bfloat16()).double(), root_row_mean(x.bfloat16()).double()
    off = [float((found - exact).norm() / exact.norm()) for found in (plain, careful)]
    assert off[1] < 0.02 and off[0] > 10 * off[1], off


def test_soca_serves_in_the_order_that_bears_bfloat16_where_it_is_asked_to(rng, monkeypatch):
    x = torch.tensor(rng.normal(size=(1, 16, 12, 12)), dtype=torch.float32)
    for for_bf16 in (False, True):
        soca = SOCA(16, 4, for_bf16)
        assert torch.allclose(soca.train()(x), soca.eval()(x), atol=1e-5)
    monkeypatch.setattr("sr.attention.root_row_mean", lambda x: 1 / 0)
    soca.train()(x)
    SOCA(16, 4).eval()(x)
    with pytest.raises(ZeroDivisionError):
        soca.eval()(x)
