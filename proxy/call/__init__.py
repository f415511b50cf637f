"""One call from INVITE to BYE: who may call, who screens, which phones ring, and the record that is kept."""
