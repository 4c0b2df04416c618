"""Exploration: sessions that nobody wrote down, judged by a model, and the shortest one that goes wrong.

A session is a list of steps, a step one or more operations at once. Hypothesis draws sessions; the model
(``bank``, ``nonce_lock``) says which answers are possible; ``search`` keeps all states that the answers so far leave
open, in whatever order operations at once took effect. When none is left, subject and model disagree, and the session
is shrunk to the shortest that still does.
"""
