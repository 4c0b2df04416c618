"""The roles of the network as small servers: thin I/O around the protocol modules.

``relay`` and ``gateway`` are one module each, run as programs by the launch protocol (``launch``). What a role decides
is a short method of its service class; a subclass that overrides one of them is that service with one deviation.
``config`` reads configurations, ``forwarding`` is what passing messages on has in common.
"""
