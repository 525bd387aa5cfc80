"""Figures for papers. Each kind is a file that draws what a pure function of results computed.

A figure is made without pyplot and its global state, and the same data give the same file, byte for byte. matplotlib is
imported when something is drawn.
"""
