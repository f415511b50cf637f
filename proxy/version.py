"""The version of Screendoor, written once."""

VERSION = "0.1.0"
