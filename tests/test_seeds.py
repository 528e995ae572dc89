from __future__ import annotations

from medkd.seeds import derive_seed


def test_every_purpose_has_a_stream_of_its_own_and_keeps_it():
    parts = [("student", 0), ("student", 1), ("teacher", 0), ("student", "0"), ("student", 0, 0), (("student", 0),)]
    seeds = [derive_seed(*part) for part in parts]
    assert len(set(seeds)) == len(parts)
    assert all(0 <= seed < 2**62 for seed in seeds)
    # Stored views and weights were drawn under this number: another one could not be made again.
    assert derive_seed("view", "a", 0) == 3322522311659890051
