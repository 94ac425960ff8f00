"""Region-level non-local modules."""
import resource

import torch
from conftest import stir

from sr.nonlocal_regions import FixedRegionNonLocal, GridNonLocal


def test_starts_as_identity():
    x = torch.randn(1, 16, 32, 32)
    assert torch.equal(GridNonLocal(16, 2)(x), x)
    assert torch.equal(FixedRegionNonLocal(16, 2, 16)(x), x)


def test_grid_regions_do_not_see_each_other_and_odd_sizes_work():
    module, x = stir(GridNonLocal(8, 2)), torch.randn(1, 8, 7, 5)
    y = module(x)
    changed = x.clone()
    changed[:, :, :3, :2] += 1  # the upper left region of a 7 x 5 input
    difference = (module(changed) - y).abs().amax((0, 1)) > 0
    assert difference[:3, :2].all() and not difference[3:].any() and not difference[:, 2:].any()


def test_grid_regions_of_even_sizes_equal_each_region_alone():
    module, x = stir(GridNonLocal(8, 2)), torch.randn(2, 8, 6, 10)
    y = module(x)
    for top in (0, 3):
        for left in (0, 5):
            alone = module.non_local(x[:, :, top : top + 3, left : left + 5])
            assert torch.allclose(y[:, :, top : top + 3, left : left + 5], alone, atol=1e-5)


def test_fixed_regions_equal_attention_on_each_region_alone():
    module, x = stir(FixedRegionNonLocal(8, 2, 4)), torch.randn(2, 8, 8, 12)
    y = module(x)
    for top in (0, 4):
        for left in (0, 4, 8):
            alone = module(x[:, :, top : top + 4, left : left + 4])
            assert torch.allclose(y[:, :, top : top + 4, left : left + 4], alone, atol=1e-5)


def test_fixed_regions_have_bounded_memory():
    # 512 x 512 in one region would take a 262144 x 262144 matrix: 275 GB. In regions of 16: 268 MB.
    module = FixedRegionNonLocal(4, 1, 16)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with torch.inference_mode():
        module(torch.randn(1, 4, 512, 512))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_500_000  # KiB
