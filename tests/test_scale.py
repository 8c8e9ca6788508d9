"""The plan for very many videos: its arithmetic against a simulation, and against sums done by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tagline.benchmarks.speed.scale import (
    Costs,
    IndexLayout,
    Machines,
    Prices,
    breaks_first,
    on_gpu,
    plan,
    simulate,
)

COSTS = Costs(read=1.0, other=0.5, cpu={"object": 2.0, "screen": 2.5}, vectors=10, dimensions=100)
MACHINES = Machines(nodes=4, cpus=8, gpus=0, mtbf_hours=1e9, in_hand=32)


def test_hours_and_dollars_are_those_of_a_sum_by_hand() -> None:
    found = plan(3_600_000, COSTS, MACHINES, IndexLayout(), Prices(cpu_hour=0.1, puts_million=0.0))
    assert found["cpu_hours"] == pytest.approx(6000)  # six seconds each
    assert found["wall_days"] == pytest.approx(6000 / 32 / 24)
    assert found["dollars_tagging"] == pytest.approx(600)
    assert found["vectors"] == 36_000_000
    assert found["pieces"] == 2
    assert found["index_memory_bytes"] == pytest.approx(36e6 * 136 * 2)
    assert found["parquet_bytes"] == pytest.approx(3.6e6 * 20e3 + 36e6 * 400)


def test_costs_grow_in_proportion_but_for_what_is_cut_into_pieces() -> None:
    small, large = (plan(n, COSTS, MACHINES, IndexLayout(), Prices()) for n in (2_000_000, 200_000_000))
    for key in ("cpu_hours", "bytes_read", "vectors", "parquet_bytes", "dollars_keeping_a_month"):
        assert large[key] == pytest.approx(100 * small[key])
    assert large["pieces"] == 100 * small["pieces"]


def test_a_run_played_through_takes_what_the_plan_says() -> None:
    accelerated = on_gpu(replace(COSTS, cpu={"object": 60.0, "screen": 2.5}), faster=30)
    for costs, machines in ((COSTS, MACHINES), (accelerated, replace(MACHINES, gpus=1))):
        told = plan(8_000, costs, machines, IndexLayout(), Prices())
        played = simulate(8_000, costs, machines, seed=3)
        for key in ("cpu_hours", "gpu_hours", "wall_days"):
            assert played[key] == pytest.approx(told[key], rel=0.04), key


def test_lost_nodes_cost_what_they_had_in_hand() -> None:
    machines = replace(MACHINES, mtbf_hours=0.3)
    told = plan(20_000, COSTS, machines, IndexLayout(), Prices())
    runs = [simulate(20_000, COSTS, machines, seed=seed) for seed in range(4)]
    again = sum(run["done_again_share"] for run in runs) / len(runs)
    assert told["done_again_share"] == pytest.approx(again, rel=0.5)
    assert again < 0.1
    assert all(run["cpu_hours"] < 1.15 * told["cpu_hours"] for run in runs)


def test_what_breaks_first_is_said_only_where_it_does() -> None:
    assert breaks_first(plan(1_000, COSTS, MACHINES, IndexLayout(), Prices()), MACHINES) == []
    broken = breaks_first(plan(1_000_000_000, COSTS, MACHINES, IndexLayout(), Prices()), MACHINES)
    assert len(broken) >= 3
    assert any("every query goes to every piece" in line for line in broken)
