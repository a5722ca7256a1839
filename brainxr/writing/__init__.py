"""Volumes become files: streamed, resumable, whole or not there."""
