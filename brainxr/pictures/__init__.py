"""Planes without a viewer: plots, montages and movies."""
