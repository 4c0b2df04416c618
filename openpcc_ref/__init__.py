"""OpenPCC in plain Python: every message format and cryptographic step of the standard.

One module or package per concept, named as the chapter in ``spec/`` is named. Protocol modules take
bytes and return values; they do no I/O and read neither clock nor randomness of their own accord.
``http1`` and ``services`` are the I/O shells around them.
"""
