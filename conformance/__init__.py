"""The conformance runner: checks, faults, peers, vectors and the command line.

It judges any relay or gateway over the network against the requirements of ``spec/``.
"""
