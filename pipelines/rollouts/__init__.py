"""Rollouts: planning, applying in waves, judging, going back."""
