"""Checks of the relay: a client in front of it, a gateway behind it, and a decoy it has no business with."""
