"""Call screening: decides which callers get through to the phone.

It knows no SIP and imports nothing from `proxy`. `contract` is the interface to the edge. `policy` makes the
`decision` before anything rings, from what `callers` knows of numbers, lists and hours and `stir` of who
signed for them. `screener` hands the callers who must be asked to an agent: `realtime_screening` runs one of
them in a `talk`; `sip_agent` covers agents without an API. `provider` is the port to a vendor, with adapters
in `openai`. `memory` stores what happened, `notices` reports it, `costs` adds up what it cost.
"""
