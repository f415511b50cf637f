"""SIP traces: captured call by call, stored without secrets, shown as a ladder or exported as pcapng."""
