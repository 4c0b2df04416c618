"""Checks of the bank: each module is one subject of the chapter on banking."""
