"""The client: from an API key to an answer that only a compute node could read. Chapter: ``spec/banking.md``.

``wallet`` decides without network what happens to the money, ``funds`` does it; ``banks`` are AuthBank and bank as a
client sees them, ``oblivious`` is the way through relay and gateway, and ``pipeline`` sends the prompt.
"""
