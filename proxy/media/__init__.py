"""Media: SDP offer/answer, RTP relay, SRTP, RTCP, DTMF, tones and recording. Knows nothing of SIP."""
