"""Covariance pooling, its square root, SOCA."""
import torch

from sr.attention import ROUNDING, SOCA, channel_attention, covariance_pool, newton_schulz_sqrt


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


def test_in_training_the_statistic_is_off_as_in_bfloat16_and_the_gate_learns_it(rng):
    torch.manual_seed(1)
    soca = SOCA(16, 4, rounded=True).train()
    x = torch.tensor(rng.normal(size=(2, 16, 12, 12)), dtype=torch.float32)
    exact, rounded = soca.statistic(x), soca.statistic(x.bfloat16()).float()
    assert 1e-5 < (rounded - exact).abs().max() < 0.1, "bfloat16 has eight bits"
    seen = []
    soca.conv_du.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][:, :, 0, 0]))
    soca(x)
    soca.eval()(x)
    assert torch.allclose(seen[0], exact + ROUNDING * (rounded - exact)) and torch.equal(seen[1], exact)


def test_a_gate_is_exact_where_it_is_not_asked_to_be_rounded(rng):
    soca = SOCA(16, 4)
    x = torch.tensor(rng.normal(size=(1, 16, 12, 12)), dtype=torch.float32)
    assert torch.equal(soca.train()(x), soca.eval()(x))
