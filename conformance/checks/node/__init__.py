"""Checks of compute nodes."""
