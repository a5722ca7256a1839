"""Whether a volume is what it should be: every header, every slice, one fingerprint."""
