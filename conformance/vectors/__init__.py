"""Test vectors: how they are made, written, played and proven.

``case`` is what a vector is; ``coins`` its reproducible randomness; one module per concept makes the
cases; ``files`` reads and writes them; ``play`` runs them; ``proof`` shows that each negative has a
single fault.
"""
