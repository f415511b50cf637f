"""The judgement: who is let through to the phone. It knows no SIP, and imports nothing of `proxy`.

`contract` is the seam: what the edge asks and what it is told. `policy` comes to a `decision` before anything
rings, by what `callers` knows of numbers, lists and hours, and `stir` of who signed for them. `screener`
takes the callers who are to be asked: `realtime_screening` screens one of them, in a `talk`; `sip_agent`
stands for agents without an API. `provider` is the port to a vendor, `openai` has the adapters behind it.
`memory` keeps what happened, `notices` tells it, `costs` counts it.
"""
