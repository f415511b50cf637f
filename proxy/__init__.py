"""The edge: a SIP back-to-back user agent, from the bytes of a carrier's INVITE to the call on your phone.

Imports go one way: `sip` (messages and machines, pure) ← `transport` (bytes) ← `ua` (legs) ← `call` (the
story: begin with `call.call`). `media` stands beside them, and knows neither `sip` nor `ua`; `observe`
gathers and draws what goes over the wire. `config` reads the settings, `services` stands between settings,
calls and the screening, `web` serves HTTP, `commands` are those of the shell, and `lab` plays carrier, OpenAI
and phone. `app` puts all of it together, in the words of `assembly` and `network_setup`; `running` has it run
until a signal, and `cli` starts it.
"""
