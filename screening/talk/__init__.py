"""The talk with a caller: what the agent is told and may do, what it says by itself, and how it ends.

`conversation` leads the agent by a `briefing`, with `tools`; `closing` does what was decided.
"""
