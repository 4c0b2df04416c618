"""The roles of the network as small servers: thin I/O around the protocol modules.

``relay`` and ``gateway`` are programs, ``python -m openpcc_ref.services.relay`` by the launch protocol (``launch``,
``config``). What a role decides is a short method of its service class: which fields pass, which key is looked up,
which host stands for which service, how a response is sealed. A subclass that overrides one of them is that service
with one deviation. Nothing is buffered beyond a chunk, except unchunked messages, which have to be.

The parts: ``forwarding`` passes messages both ways at once; ``allow_list`` says what leaves a gateway;
``sealed_request`` and ``sealed_response`` are its two halves, ``inner_answer`` what it says itself, ``gateway_keys``
what it is configured with.
"""
