"""Faults of gateways, one module for each area of checks, and what they are built of."""
