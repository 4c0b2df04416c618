"""Exploration: sessions that nobody wrote down, judged by a model, and the shortest one that goes wrong.

A session is a list of steps, a step one or more operations at once. Hypothesis draws sessions; the model
(``bank``, ``nonce_lock``) says which answers are possible; ``search`` keeps all states that the answers so far leave
open, in whatever order operations at once took effect. When none is left, subject and model disagree, and ``shrink``
finds the shortest session that still does.

Model and player are a state machine in the sense of Hypothesis; that sessions are values, and not the rules of its
``RuleBasedStateMachine``, has three reasons. A value can be played again as it is: by the shrinker, several times where
clients race and not every run goes wrong, and from a file, where Hypothesis is not installed. A step can be several
operations at once, which rules, one after the other, are not. And nothing but the values is saved: no choices of
Hypothesis, which mean something to one version of it and of the machine.
"""
