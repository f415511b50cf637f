"""Who calls: how numbers are written, contacts and lists, hours, who is expected, and who came lately."""
