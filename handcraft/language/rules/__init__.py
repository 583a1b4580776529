"""Rules: as written, as read, and which of them decides."""
