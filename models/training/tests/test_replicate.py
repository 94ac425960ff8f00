"""The replication's bookkeeping: equal sizes, one table, nothing made twice."""
import json

from conftest import TRAINING

from sr import config as configuration
from sr.networks import build, count_parameters
from sr.replicate import CELLS, run_cell, table


def test_the_six_networks_are_of_about_one_size():
    network = configuration.load(TRAINING / "configs" / "replicate.toml").network
    counts = [count_parameters(build(network | {"attention": a, "non_local": n}, 4)) for a, n in CELLS]
    assert len(counts) == 6 and max(counts) < 1.03 * min(counts)
    assert counts[1] == counts[2] and counts[4] == counts[5]  # first and second order: to the number


def test_a_finished_cell_is_read_not_trained(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps({"seed": 9}))
    assert run_cell(None, "none", False, 9, 1, None, tmp_path) == {"seed": 9}


def test_table():
    row = {"attention": "second", "non_local": True, "parameters": 12345, "steps": 10, "minutes": 1.0,
           "Set5": (30.0, 0.8), "Set14": (27.0, 0.7), "BSD100": (26.0, 0.6)}
    text = table([row | {"seed": 1}, row | {"seed": 2, "Set5": (30.5, 0.82)}])
    assert "| second order | yes | 12,345 | 10 | 1, 2 | 30.25 (0.50) / 0.8100 | 27.00 (0.00) / 0.7000 |" in text
