"""Measure whether messages and calls of messengers get through, and at which layer they fail.

Reading order: record, failure, dialogue, step, steps/stun, net, model, catalogue, plan, measure,
reading, rules, verdict, store, cli.
"""

__version__ = "0.1.0"
