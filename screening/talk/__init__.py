"""The conversation between agent and caller: what the agent is told, what it may do, and how the call ends.

`conversation` drives the agent with a `briefing` and `tools`; `closing` carries out the decision.
"""
