"""Media beside the protocol: SDP, RTP relay, tones, recorder. Knows no SIP."""
