"""Checks of the router: a gateway in front of it, a nonce lock and nodes behind it."""
