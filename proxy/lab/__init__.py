"""The lab: a simulated carrier, OpenAI and phone, for `screendoor demo` and the tests."""
