"""The edge: a SIP back-to-back user agent, from the carrier's INVITE to the call on your phone.

Imports go one way: `sip` (messages and state machines, pure) ← `transport` (bytes) ← `ua` (legs) ← `call`
(the life of a call: begin with `call.call`). `media` stands beside them and imports neither `sip` nor `ua`;
`observe` captures and displays SIP traffic. `config` reads the settings, `services` connects settings, calls
and screening, `web` serves HTTP, `commands` holds the subcommands of the CLI, and `lab` simulates carrier,
OpenAI and phone. `app` puts all of it together with the help of `assembly` and `network_setup`; `running`
runs it until a signal arrives, and `cli` is the entry point.
"""
