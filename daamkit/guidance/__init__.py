"""Guidance: methods that change the course of a generation, on the hooks that tracing uses."""
