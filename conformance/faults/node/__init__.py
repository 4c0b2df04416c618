"""Faults of nodes, one module for each area of checks, and what they are built of."""
