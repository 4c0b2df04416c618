"""Checks of the nonce lock: each module is one subject of the chapter on banking."""
