"""The story of a call: who is asked, who is rung, who ends up talking, and what is left on record."""
